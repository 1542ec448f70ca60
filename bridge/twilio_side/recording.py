"""A recording as Twilio reports it, by <Record>'s action and by its status callback.

Pure. Both requests report the same recording, in any order and any number of times. The action comes at once, before
the recording can be fetched, and has no RecordingStatus. The callback comes when the recording can be fetched.
Source: https://www.twilio.com/docs/voice/twiml/record
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SID = re.compile(r"RE[0-9a-f]{32}")
_CALL = re.compile(r"CA[0-9a-f]{32}")
_TWILIO = re.compile(r"https://[a-z0-9-]+(\.[a-z0-9-]+)*\.twilio\.com")
_PATH = re.compile(r"/2010-04-01/Accounts/AC[0-9a-f]{32}/Recordings/(RE[0-9a-f]{32})")


class NotARecording(ValueError):
    """The parameters are not those of a recording. The message says what is wrong, without quoting them."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded message. `ready`: it can be fetched from `url`. `call_sid` is "" if Twilio named none."""

    sid: str
    url: str
    seconds: int
    call_sid: str
    ready: bool


def parse(parameters: Mapping[str, str], api_origin: str) -> Recording | None:
    """The recording of a request. None: nothing was recorded, or the recording failed.

    `api_origin`: an origin besides twilio.com where recordings may be. Raises NotARecording.
    """
    status = parameters.get("RecordingStatus", "")
    if status not in ("", "completed"):
        return None
    sid, url = parameters.get("RecordingSid", ""), parameters.get("RecordingUrl", "")
    if not _SID.fullmatch(sid):
        raise NotARecording("RecordingSid is none")
    duration = parameters.get("RecordingDuration", "0")
    if not re.fullmatch(r"[0-9]{1,6}", duration):
        raise NotARecording("RecordingDuration is no number of seconds")
    if not int(duration):
        return None
    if not _is_its_url(url, sid, api_origin):
        raise NotARecording("RecordingUrl is not where Twilio keeps this recording")
    call = parameters.get("CallSid", "")
    return Recording(sid, url, int(duration), call if _CALL.fullmatch(call) else "", status == "completed")


def _is_its_url(url: str, sid: str, api_origin: str) -> bool:
    """Whether Twilio keeps this recording there. The address is passed on to the owner, who will trust it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    origin, found = f"{scheme}://{host}", _PATH.fullmatch(slash + path)
    return found is not None and found[1] == sid and (origin == api_origin or bool(_TWILIO.fullmatch(origin)))
