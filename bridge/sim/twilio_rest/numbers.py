"""The account's phone numbers, and the TwiML applications that can answer in their place.

`voice_url` counts for nothing while `voice_application_sid` or `trunk_sid` is set: Twilio keeps it and says nothing.
Setting one of these two deletes the other.
Source: https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from bridge.sim.twilio_rest import paging
from bridge.sim.twilio_rest.refusals import Refused, not_found, require_known, wrong

#: What may be changed, by its parameter, and Twilio's code for a value that will not do (20001 where none is known).
_URLS = {"VoiceUrl": 21502, "VoiceFallbackUrl": 21504, "StatusCallback": 21609, "SmsUrl": 20001,
         "SmsFallbackUrl": 20001}
_METHODS = {"VoiceMethod": 21503, "VoiceFallbackMethod": 21505, "StatusCallbackMethod": 20001, "SmsMethod": 20001,
            "SmsFallbackMethod": 20001}
_OTHERS = ("FriendlyName", "VoiceApplicationSid", "TrunkSid", "SmsApplicationSid", "VoiceReceiveMode",
           "VoiceCallerIdLookup")
#: What a list can be narrowed down by.
_FILTERS = ("PhoneNumber", "FriendlyName", "Beta", "Origin")


@dataclass
class Number:
    """One number, with the fields' names that the API's JSON has."""

    sid: str
    phone_number: str
    friendly_name: str = ""
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    voice_application_sid: str | None = None
    trunk_sid: str | None = None
    voice_receive_mode: str = "voice"
    voice_caller_id_lookup: bool = False
    sms_url: str = ""
    sms_method: str = "POST"
    sms_fallback_url: str = ""
    sms_fallback_method: str = "POST"
    sms_application_sid: str = ""
    #: Whether it can be called at all.
    voice: bool = True


class Numbers:
    """What the account has; `applications` and `trunks` are known by their SIDs, an application with its voice URL."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid
        self.all: list[Number] = []
        self.applications: dict[str, str] = {}
        self.trunks: set[str] = set()

    def add(self, phone_number: str, **fields: Any) -> Number:
        """A further number; `fields` as in Number."""
        number = Number(f"PN{len(self.all) + 1:032x}", phone_number, **fields)
        self.all.append(number)
        return number

    def owns(self, phone_number: str) -> bool:
        """Whether calls can be made from it."""
        return any(each.phone_number == phone_number and each.voice for each in self.all)

    # What is asked

    def listed(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        require_known(query, (*_FILTERS, *paging.PARAMETERS))
        found = [self._shown(each) for each in self.all
                 if query.get("PhoneNumber", each.phone_number) in each.phone_number
                 and query.get("FriendlyName", each.friendly_name) == each.friendly_name]
        page = paging.page(found, path, query)
        return {"incoming_phone_numbers": page.records, "page": page.number, "page_size": page.size, "uri": page.this,
                "first_page_uri": page.first, "previous_page_uri": page.previous, "next_page_uri": page.next,
                "start": page.number * page.size, "end": page.number * page.size + max(len(page.records) - 1, 0)}

    def fetched(self, sid: str, path: str) -> dict[str, Any]:
        return self._shown(self._find(sid, path))

    def updated(self, sid: str, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Nothing is changed where anything is refused. An empty value deletes."""
        number = self._find(sid, path)
        require_known(form, (*_URLS, *_METHODS, *_OTHERS))
        self._check(form)
        for name, value in form.items():
            setattr(number, _snake(name), value == "true" if name == "VoiceCallerIdLookup" else value)
        if form.get("VoiceApplicationSid"):
            number.trunk_sid = None
        if form.get("TrunkSid"):
            number.voice_application_sid = None
        number.voice_application_sid, number.trunk_sid = number.voice_application_sid or None, number.trunk_sid or None
        return self._shown(number)

    def application(self, sid: str, path: str) -> dict[str, Any]:
        if sid not in self.applications:
            raise not_found(path)
        return {"sid": sid, "account_sid": self._account_sid, "api_version": "2010-04-01", "friendly_name": "an app",
                "voice_url": self.applications[sid], "voice_method": "POST", "voice_fallback_url": "",
                "voice_fallback_method": "POST", "status_callback": "", "status_callback_method": "POST",
                "uri": f"/2010-04-01/Accounts/{self._account_sid}/Applications/{sid}.json"}

    def _check(self, form: Mapping[str, str]) -> None:
        for name, code in _URLS.items():
            if (value := form.get(name)) and not _is_url(value):
                raise Refused(400, code, f"{name} is not a valid URL: {value}")
        for name, code in _METHODS.items():
            if form.get(name, "POST") not in ("GET", "POST"):
                raise Refused(400, code, f"{name} is neither GET nor POST: {form[name]}")
        for name, known in (("VoiceApplicationSid", self.applications), ("TrunkSid", self.trunks)):
            if (sid := form.get(name)) and sid not in known:
                raise wrong(f"{name} is unknown: {sid}")
        if form.get("VoiceApplicationSid") and form.get("TrunkSid"):
            raise wrong("VoiceApplicationSid and TrunkSid exclude each other.")
        if form.get("VoiceReceiveMode", "voice") not in ("voice", "fax"):
            raise wrong("VoiceReceiveMode is neither voice nor fax.")
        if len(form.get("FriendlyName", "")) > 64:
            raise wrong("FriendlyName has more than 64 characters.")

    def _find(self, sid: str, path: str) -> Number:
        for each in self.all:
            if each.sid == sid:
                return each
        raise not_found(path)

    def _shown(self, number: Number) -> dict[str, Any]:
        fields = asdict(number)
        voice = fields.pop("voice")
        return fields | {
            "account_sid": self._account_sid, "api_version": "2010-04-01", "beta": False, "origin": "twilio",
            "capabilities": {"voice": voice, "sms": True, "mms": False, "fax": False}, "status": "in-use",
            "uri": f"/2010-04-01/Accounts/{self._account_sid}/IncomingPhoneNumbers/{number.sid}.json"}


def _is_url(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in value


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
