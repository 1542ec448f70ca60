"""A phone agent: Twilio Media Streams on one side, the OpenAI Realtime API on the other."""

__version__ = "0.1.0"
