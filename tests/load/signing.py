"""How Twilio signs what it sends. Pure.

Source: https://www.twilio.com/docs/usage/security
"""

import base64
import hmac
from collections.abc import Mapping

HEADER = "X-Twilio-Signature"


def sign(token: str, address: str, form: Mapping[str, str] = {}) -> str:
    """The signature of a webhook with this form, or of an upgrade."""
    signed = address + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
