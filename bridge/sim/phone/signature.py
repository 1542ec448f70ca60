"""How Twilio signs its requests.

Pure. https://www.twilio.com/docs/usage/security
"""

import base64
import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

HEADER = "X-Twilio-Signature"


def sign(token: str, url: str, form: Mapping[str, str] = {}) -> str:
    """The signature of a request to `url`, over the address and the form's fields, sorted by name.

    A GET and a websocket's upgrade have no form.
    """
    signed = _signed_address(url) + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def _signed_address(url: str) -> str:
    """The address as Twilio signs it: without the user and, for https, without the port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https":
        host = re.sub(r":\d+$", "", host)
    return parts._replace(netloc=host).geturl()
