"""How the business can reach a caller: an e-mail address or a phone number.

Pure. The caller may have none, and models fill in every argument of a schema. A placeholder, such as "none@none.com",
counts as nothing. An address or number that cannot be right is refused.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from bridge.meetings.schedule import Refused
from bridge.meetings.tidy import without_formula
from bridge.twilio_side.caller import Caller

#: No person and no provider has such a name. One of them before or after the @ makes an address a placeholder.
_NOTHING = frozenset((
    "none", "null", "nothing", "nobody", "noone", "empty", "blank", "missing", "unknown", "undefined", "unspecified",
    "anonymous", "withheld", "hidden", "declined", "noemail", "noemailaddress", "nomail", "noaddress", "noreply",
    "donotreply", "notgiven", "notprovided", "notavailable", "notapplicable", "notspecified", "noemailprovided",
    "noemailgiven", "emailnotprovided", "withoutemail",
))
#: A person or a provider may have such a name, but not both: "test@test.com", "user@domain.com" are placeholders.
_ANYTHING = _NOTHING | {
    "abc", "address", "caller", "client", "company", "customer", "domain", "email", "example", "fake", "firstname",
    "foo", "guest", "janedoe", "johndoe", "lastname", "mail", "me", "myemail", "na", "name", "nan", "nil", "no",
    "patient", "person", "placeholder", "provider", "sample", "someone", "something", "test", "user", "username", "x",
    "xx", "xxx", "xyz", "you", "your", "yourdomain", "youremail", "yourname",
}
#: Words that say that there is no address: "the caller has no e-mail".
_DENIALS = _NOTHING | {"no", "not", "na", "nil", "without", "doesn't", "don't", "isn't", "refused", "refuses"}

_SPOKEN = re.compile(r"\S\s+at\s+\S+(\s+dot\s+\S+)+$", re.IGNORECASE)

#: Characters that people put between digits, and the 0 that is not dialled after a country's code: +44 (0)20 7946 0000.
_BETWEEN = re.compile(r"\(0\)|[\s().\-\u2010-\u2015/]")


def require(email: str, phone_number: str, *, email_required: bool) -> None:
    """Raises Refused if the business could not reach the caller. "" stands for an unknown address or number."""
    if not email and email_required:
        raise Refused("The caller's e-mail address is missing: ask the caller for it.")
    if not email and not phone_number:
        raise Refused("The caller hides the number, so a phone number or an e-mail address is needed: ask the caller "
                      "for one of the two.")


def email_address(text: str) -> str:
    """The address, normalised, or "" if the text names none. Raises Refused for an address that cannot be right."""
    text = _written(text.strip())
    if _stands_in(text) if "@" in text else _denies(text):
        return ""
    if text != without_formula(text):
        raise Refused("The e-mail address begins with a sign. Ask the caller to spell it.")
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Refused(f"The e-mail address cannot be right: {error} Ask the caller to spell it.") from None


def e164(text: str) -> str:
    """The number in E.164, or "" if the text has no digit. Raises Refused for a number that cannot be right."""
    if not text or not any(map(str.isdigit, text)):
        return ""
    number = _BETWEEN.sub("", unicodedata.normalize("NFKC", text).strip().removeprefix("tel:"))
    number = re.sub("^00", "+", number)
    if not number.startswith("+"):
        raise Refused("The phone number needs + and the country's code in front. Take the code of the country in which "
                      "the business is, unless the caller names another, and call the function again.")
    if not Caller(number).number:
        raise Refused("The phone number cannot be right. Ask the caller to say it again, digit by digit.")
    return number


def _written(text: str) -> str:
    """ "ada at example dot com" as an address. Any other text stays as it is."""
    if "@" in text or not _SPOKEN.search(text):
        return text
    return re.sub(r"\s+dot\s+", ".", re.sub(r"\s+at\s+", "@", text, flags=re.IGNORECASE), flags=re.IGNORECASE)


def _stands_in(address: str) -> bool:
    local, _, domain = address.casefold().rpartition("@")
    labels = domain.split(".")
    person, provider = _letters(local), {*map(_letters, labels[:-1] or labels)}
    return (person in _NOTHING or bool(provider & _NOTHING) or person in _ANYTHING and bool(provider & _ANYTHING)
            or local.isdecimal() and local == labels[0])


def _denies(text: str) -> bool:
    """Whether a text without an @ says that there is no address: "no e-mail", "N/A", "-"."""
    words = re.findall(r"[^\W\d_]+(?:['\u2019]t)?", text.casefold())
    return not words or not _DENIALS.isdisjoint({*words, _letters(text.casefold())})


def _letters(text: str) -> str:
    """The letters alone, so that "no-email" and "no.email" are equal."""
    return "".join(filter(str.isalpha, text))
