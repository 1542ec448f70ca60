"""A phone agent: Twilio Media Streams on one side, the OpenAI Realtime API on the other."""

import sys

__version__ = "0.1.0"

# Any Python 3 can read this file and __main__.py, which are loaded first. An old Python fails on the rest, with a
# traceback in place of this line.
if sys.version_info < (3, 11):
    sys.exit("bridge needs Python 3.11 or newer, and this is Python {}.{} ({}). Where a newer one is installed: "
             "python3.11 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python -m bridge"
             .format(sys.version_info[0], sys.version_info[1], sys.executable))
