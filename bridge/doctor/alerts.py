"""What Twilio noted in its debugger about this server, each kind in a sentence.

Pure. The codes: https://www.twilio.com/docs/api/errors
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import parse_qs

from yarl import URL

from bridge.doctor.finding import Finding
from bridge.twilio_side.account import Alert

#: Of a page of HTML, or TwiML.
_NO_WORDS = re.compile(r"<(style|script)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)

#: So many kinds are told, and looked at closely.
MOST = 5

_MEANS = {
    "11100": "the address is none",
    "11200": "this server could not be asked, or did not answer in order",
    "11205": "no connection to this server could be made",
    "11206": "this server broke the connection off",
    "11210": "the name of the host leads nowhere",
    "11215": "too many redirects",
    "11220": "the TLS handshake failed",
    "11235": "the certificate's name is another one",
    "11236": "the certificate has expired",
    "11237": "the certificate is signed by nobody whom Twilio trusts: its chain is not complete",
    "11751": "what was sent is too large",
    "12100": "the TwiML could not be read",
    "12200": "the TwiML does not fit the schema",
    "12300": "the answer was no TwiML by its Content-Type",
    "13227": "the number that was to be dialled is not allowed by the account's geographic permissions",
    "21220": "a call was over already when it was to be changed",
    "31901": "the stream's websocket could not be connected in time",
    "31920": "the upgrade of the stream was not answered with 101: a proxy without upgrades, or a 403",
    "31921": "the stream's websocket was closed before its time",
    "31922": "the stream's address is not wss",
    "31924": "the stream's websocket broke its protocol, or its connection broke",
    "31941": "the stream asks for a track that there is not",
}


def concerning(alerts: Sequence[Alert], origin: str, numbers: Sequence[str]) -> list[Alert]:
    """Those that speak of this server's host, or name one of its numbers."""
    host = URL(origin).host if origin else None
    return [each for each in alerts if host and _host(each.request_url) == host or any(
        number in each.text or number in each.request_variables for number in numbers)]


def newest_of_each_kind(alerts: Sequence[Alert]) -> list[Alert]:
    """One for each code and path: the ones worth fetching."""
    return [kind[0] for kind in _kinds(alerts)][:MOST]


def judged(alerts: Sequence[Alert], detailed: Sequence[Alert]) -> list[Finding]:
    """`alerts`: the last day's; `detailed`: the newest of each kind once more, as far as they could be fetched."""
    if not alerts:
        return [Finding("alerts", "ok", "Twilio noted no error about this server in the last 24 hours.")]
    details = {each.sid: each for each in detailed}
    findings = [
        Finding("alerts", "warning", _sentence(details.get(kind[0].sid, kind[0]), len(kind)),
                f"If it goes on: https://www.twilio.com/docs/errors/{kind[0].error_code}")
        for kind in _kinds(alerts)]
    more = len(findings) - MOST
    return findings[:MOST] + ([Finding("alerts", "warning", f"{more} more kinds of errors are in Twilio's debugger.")]
                              if more > 0 else [])


def _sentence(alert: Alert, count: int) -> str:
    """Such as: 11200 at 09:14 UTC, 3 times: this server answered 502."""
    said = parse_qs(alert.text)
    status = said.get("httpResponse", [""])[0]
    times = f", {count} times, last" if count > 1 else ""
    when = f" at {alert.generated:%H:%M} UTC" if alert.generated else ""
    path = _path(alert.request_url)
    if alert.error_code == "11200" and status.isdecimal() and status != "200":
        what = f"this server, or a proxy before it, answered {status}{_beginning(alert.response_body)}"
    else:
        what = _MEANS.get(alert.error_code) or said.get("Msg", [""])[0][:200] or "see Twilio's page"
    return f"{alert.error_code}{times}{when}{f', {path}' if path else ''}: {what}."


def _beginning(page: str) -> str:
    """Of what was answered, as far as it is for people: proxies say there who they are."""
    words = " ".join(_NO_WORDS.sub(" ", page[:20_000]).split())
    printable = "".join(each for each in words if each.isprintable())
    return f" (“{printable[:80]}”)" if printable else ""


def _kinds(alerts: Sequence[Alert]) -> Iterator[list[Alert]]:
    """Those of one code and path together, each kind in the order it came in: the newest first."""
    newest = {_kind(each): place for place, each in reversed([*enumerate(alerts)])}
    for _, kind in groupby(sorted(alerts, key=lambda each: newest[_kind(each)]), _kind):
        yield [*kind]


def _kind(alert: Alert) -> tuple[str, str]:
    return alert.error_code, _path(alert.request_url)


def _path(url: str) -> str:
    """Without what may name a caller."""
    try:
        path = URL(url).path
    except ValueError:
        return ""
    return "/media-stream" if path.startswith("/media-stream") else path


def _host(url: str) -> str | None:
    try:
        return URL(url).host
    except ValueError:
        return None
