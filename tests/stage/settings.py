"""Settings without an environment, for many tests."""

from bridge.settings import Settings, load

#: For a server that answers everybody on this machine.
UNSIGNED = {"ALLOW_UNSIGNED": "1", "HOST": "127.0.0.1"}


def make_settings(**environ: str) -> Settings:
    """The settings of these variables and a key that opens nothing. Without a token they allow unsigned requests."""
    return load({"OPENAI_API_KEY": "sk-simulated"} | UNSIGNED | environ)
