"""What many tests need: settings without an environment."""

from bridge.settings import Settings, load

#: For a server that answers whoever is on this machine.
UNSIGNED = {"ALLOW_UNSIGNED": "1", "HOST": "127.0.0.1"}


def make_settings(**environ: str) -> Settings:
    """Settings as they are when these variables are set, and a key that opens nothing; unsigned without a token."""
    return load({"OPENAI_API_KEY": "sk-simulated"} | UNSIGNED | environ)
