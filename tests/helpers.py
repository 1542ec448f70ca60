"""What many tests need: settings without an environment."""

from bridge.settings import Settings, load


def make_settings(**environ: str) -> Settings:
    """Settings as they are when exactly these variables are set, and a key that opens nothing."""
    return load({"OPENAI_API_KEY": "sk-simulated"} | environ)
