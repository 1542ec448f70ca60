"""Where the account's numbers lead: whether a call to one comes to this server.

Pure, but for how this program is called. A number's application and trunk decide in the place of its voice URL, and
Twilio keeps that URL all the same:
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

from collections.abc import Iterator, Mapping, Sequence

from yarl import URL

from bridge.doctor.finding import Finding
from bridge.program import command
from bridge.twilio_side.account import Number

WEBHOOK = "/incoming-call"
#: What to do where nobody says what the server's public address is.
NO_ADDRESS = "Set PUBLIC_URL to the address that Twilio is to reach this server by, or start the server with --tunnel."


def origin_of(numbers: Sequence[Number]) -> str:
    """The address before /incoming-call that numbers lead to, where there is exactly one such; "" otherwise."""
    found = {_without_fragment(each.voice_url).removesuffix(WEBHOOK) for each in numbers
             if not each.overridden_by and each.voice_url.startswith("https://")
             and _without_fragment(each.voice_url).endswith(WEBHOOK)}
    return found.pop() if len(found) == 1 else ""


def judged(numbers: Sequence[Number], origin: str, applications: Mapping[str, str]) -> list[Finding]:
    """`origin`: this server's public address, "" where nobody knows it; `applications`: voice URLs, by their SIDs."""
    if not numbers:
        return [Finding("number", "failure", "The account has no number.", "Buy one in the Twilio console, or set "
                        "TWILIO_ACCOUNT_SID to the account that has it.")]
    if not origin:
        return [Finding("number", "not proven", f"{_count(numbers)}, and nobody says which lead to this server.",
                        NO_ADDRESS)]
    ours = [each for each in numbers if _leads_to(each, origin, applications)]
    if not ours:
        return [_none_of(numbers, origin)]
    elsewhere = len(numbers) - len(ours)
    findings = [_one(each, origin, applications) for each in ours]
    if elsewhere:
        findings.append(Finding("number", "skipped", f"{_count(numbers)}; {elsewhere} of them lead elsewhere."))
    usable = [each for each, finding in zip(ours, findings, strict=False) if finding.state == "ok"]
    return [*findings, *_fallbacks(usable, origin)]


def _leads_to(number: Number, origin: str, applications: Mapping[str, str]) -> bool:
    """Whether it is meant for this server: for its host and, behind a proxy with several, for its path."""
    def is_here(url: str) -> bool:
        path = _path(origin).rstrip("/")
        return _host(url) == _host(origin) and (_path(url) + "/").startswith(path + "/")
    return is_here(number.voice_url) or is_here(applications.get(number.voice_application_sid, ""))


def _one(number: Number, origin: str, applications: Mapping[str, str]) -> Finding:
    """Of a number that is meant to lead here."""
    name, wanted = number.phone_number, origin + WEBHOOK
    if not number.voice or number.voice_receive_mode == "fax":
        what = "takes faxes instead of calls" if number.voice else "cannot be called: it is for messages only"
        return _failure(number, f"{name} {what}.", "Use a number with voice, and switch it to voice in the console.")
    if number.trunk_sid:
        return _failure(
            number, f"{name} has a trunk ({number.trunk_sid}), which decides in the place of its voice URL.",
            "Take the number off the trunk:", _set(name, origin, "--detach"))
    if sid := number.voice_application_sid:
        if _without_fragment(applications.get(sid, "")) == wanted:
            return Finding("number", "ok", f"{name} leads here, by the application {sid}.", subject=name)
        return _failure(
            number, f"{name} has an application ({sid}), which decides in the place of its voice URL.",
            "Take the application away:", _set(name, origin, "--detach"))
    said = _without_fragment(number.voice_url)
    if said == wanted:
        return Finding("number", "ok", f"{name} leads here, by {number.voice_method}.", subject=name)
    if said == wanted.replace("https://", "http://", 1):
        return _failure(number, f"{name} leads here by http, and a stream needs https.", "Set its address anew:",
                        _set(name, origin))
    return _failure(number, f"{name} leads to {said}, and not to {wanted}.", "Set its address anew:",
                    _set(name, origin))


def _none_of(numbers: Sequence[Number], origin: str) -> Finding:
    first = numbers[0]
    where = _host(first.voice_url).removesuffix(":443") + _path(first.voice_url) or "nowhere"
    return Finding(
        "number", "failure", f"No number of the account leads to {origin}: {_count(numbers)}, {first.phone_number} "
        f"leads to {where}.", "Point one here:", _set(first.phone_number, origin), subject=first.phone_number)


def _fallbacks(numbers: Sequence[Number], origin: str) -> Iterator[Finding]:
    """What a caller hears while this server is down."""
    asked = [each for each in numbers if not each.voice_application_sid]
    if not numbers:
        return
    if lacking := [each for each in asked if not each.voice_fallback_url]:
        yield Finding(
            "fallback", "warning", f"The fallback address of {lacking[0].phone_number} is not set: while this server "
            "is down, callers hear an error of Twilio's.",
            "In the Twilio console, set \"Primary handler fails\" to a TwiML Bin with a sentence of yours.",
            subject=lacking[0].phone_number)
    elif any(_host(each.voice_fallback_url) == _host(origin) for each in asked):
        # As `number set` leaves it.
        yield Finding("fallback", "ok", "The fallback address leads to this server too. It helps when a request fails, "
                                        "but not while the server is down: a TwiML Bin does that.")
    else:
        yield Finding("fallback", "ok", "While this server is down, callers get the fallback address.")


def _set(phone_number: str, origin: str, *more: str) -> str:
    """Also where PUBLIC_URL is not set."""
    return command("number", "set", phone_number, "--url", origin, *more)


def _failure(number: Number, says: str, do: str, command: str = "") -> Finding:
    return Finding("number", "failure", says, do, command, number.phone_number)


def _count(numbers: Sequence[Number]) -> str:
    return f"{len(numbers)} number{'' if len(numbers) == 1 else 's'}"


def _without_fragment(url: str) -> str:
    """Twilio's connection overrides stand in the fragment."""
    return url.partition("#")[0]


def _host(url: str) -> str:
    """With its port, in small letters; "" where there is none."""
    try:
        address = URL(url)
        host, port = address.host, address.port
    except ValueError:
        return ""
    return f"{host.lower()}:{443 if port == 80 else port}" if host else ""


def _path(url: str) -> str:
    try:
        return URL(url).path
    except ValueError:
        return ""
