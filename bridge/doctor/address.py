"""The way in: the public address, from its name to a message that comes back by a stream.

All of it is asked from here. That Twilio gets there too cannot be proven from inside: routers lead the way to one's own
address back in (hairpin NAT), or do not, and name servers answer differently inside. Only a call proves it.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from yarl import URL

from bridge.addresses import is_loopback, is_public
from bridge.delivery.reach import why
from bridge.doctor.finding import Finding
from bridge.doctor.probing import Answer, Prober, Stream
from bridge.program import command
from bridge.reception import probe

#: How long each step may take, seconds: Twilio itself gives up after 15.
LOOK_UP_S, ASK_S = 3.0, 5.0
#: A certificate that ends within so many days should have been renewed.
RENEWED_DAYS = 10

#: An older call proves nothing of today, seconds.
RECENT_S = 24 * 3600.0

LookUp = Callable[[str], Awaitable[Sequence[str]]]
Upgraded = Stream | aiohttp.ClientError | OSError | ValueError

_LATER = ("tls", "incoming_call", "media_stream", "reach")


async def look_up(host: str) -> Sequence[str]:
    """The addresses of a name. Raises socket.gaierror."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def examine(
    http: aiohttp.ClientSession, prober: Prober, last_call_at: float | None = None, look_up: LookUp = look_up,
) -> list[Finding]:
    """`last_call_at`: when Twilio last came with a call, seconds since 1970."""
    name = await _name(URL(prober.origin).host or "", look_up)
    if name.state == "failure":
        return [name, *_skipped(*_LATER)]
    begun = time.monotonic()
    answer, upgraded = await asyncio.gather(_answer(http, prober), _upgraded(http, prober))
    stream_s = time.monotonic() - begun
    findings = [name]
    if isinstance(answer, Answer):
        if prober.origin.startswith("https"):
            until = upgraded.certificate_until if isinstance(upgraded, Stream) else None
            findings.append(certificate(until, prober.clock()))
        webhook = incoming_call(answer, prober.origin)
        findings.append(webhook)
        if webhook.state == "failure":
            return [*findings, *_skipped("media_stream", "reach")]
    elif isinstance(answer, aiohttp.ClientSSLError):
        return [name, Finding("tls", "failure", f"Twilio would not trust {prober.origin}: {why(answer)}.",
                              "Install a certificate of a public authority, with its whole chain."),
                *_skipped("incoming_call", "media_stream", "reach")]
    else:
        reason = f"no answer within {ASK_S:g} s" if isinstance(answer, TimeoutError) else why(answer)
        return [name, Finding(
            "incoming_call", "not proven", f"From here, {prober.origin} cannot be reached: {reason}. From the Internet "
            "it may be.", "Start the server, if it does not run. Then open "
            f"{prober.origin}/healthz on a phone that is not in this network."),
            *_skipped("media_stream", "reach")]
    findings.append(media_stream(upgraded, stream_s))
    if findings[-1].state == "failure":
        return [*findings, *_skipped("reach")]
    return [*findings, reach(last_call_at, prober.clock())]


async def _name(host: str, look_up: LookUp) -> Finding:
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await look_up(host)
    except TimeoutError:
        return Finding("dns", "not proven", f"No name server answered for {host} within {LOOK_UP_S:g} s.")
    except OSError:
        return Finding("dns", "failure", f"{host} leads nowhere: no name server knows it.",
                       "Set PUBLIC_URL to the right name, or make the name at your domain's provider.")
    if all(map(is_loopback, found)):
        return Finding("dns", "failure", f"{host} is this machine itself, where Twilio cannot come.",
                       "Set PUBLIC_URL to a public address: deploy the server, or start it behind a tunnel.")
    if not any(map(is_public, found)):
        return Finding("dns", "warning", f"From here, {host} leads to {found[0]}, which is a private address.",
                       "Make sure that the name leads to a public address outside of this network.")
    return Finding("dns", "ok", f"{host} leads to {', '.join(found[:3])}.")


async def _answer(
    http: aiohttp.ClientSession, prober: Prober,
) -> Answer | aiohttp.ClientError | OSError:
    try:
        return await prober.ask(http, prober.origin, ASK_S)
    except (aiohttp.ClientError, OSError) as error:
        return error


async def _upgraded(http: aiohttp.ClientSession, prober: Prober) -> Upgraded:
    try:
        async with asyncio.timeout(ASK_S):
            return await prober.upgrade(http, ASK_S)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return error


def _skipped(*names: str) -> list[Finding]:
    return [Finding(name, "skipped", "What stands above comes first.") for name in names]


# ---- what it means: pure

def reach(last_call_at: float | None, now: float) -> Finding:
    """Whether Twilio reaches this address: it did, when there was a call."""
    if last_call_at is not None and now - last_call_at < RECENT_S:
        when = time.strftime("%H:%M", time.gmtime(last_call_at))
        return Finding("reach", "ok", f"Twilio came with a call, and opened its stream, at {when} UTC.")
    return Finding(
        "reach", "not proven", "Whether Twilio reaches this address cannot be proven from inside.",
        "Call your number, or let Twilio call it, for some cents:", command("doctor", "--call", "YOUR_NUMBER"))


def certificate(until: float | None, now: float) -> Finding:
    """Of one that is valid now; `until`: None where that is not known."""
    if until is None:
        return Finding("tls", "ok", "The certificate is trusted.")
    left, day = int((until - now) / 86400), time.strftime("%Y-%m-%d", time.gmtime(until))
    if left < RENEWED_DAYS:
        return Finding("tls", "warning", f"The certificate ends on {day}, in {left} days.",
                       "See why it was not renewed.")
    return Finding("tls", "ok", f"The certificate is trusted, until {day}.")


def incoming_call(answer: Answer, origin: str) -> Finding:
    """What the probe's answer says of the server, and of what stands before it."""
    def failure(says: str, do: str) -> Finding:
        return Finding("incoming_call", "failure", says, do)
    address, status = origin + probe.WEBHOOK_PATH, answer.status
    if answer.ours and answer.saw:
        return failure(*_changed(answer.saw, address))
    if answer.ours and status == 200:
        if not answer.stream:
            return failure("This server answers, and sends callers to the fallback now: its model is out of reach, or "
                           "MAX_DAY_USD is used up, or it stops.", "See its log, and /readyz.")
        return Finding("incoming_call", "ok", f"A signed probe of {address} came back with this server's TwiML.",
                       took_s=answer.took_s)
    if answer.location and 300 <= status < 400:
        return failure(f"{address} redirects to {answer.location.partition('?')[0][:100]}, where Twilio's signature "
                       "does not fit.", "Set PUBLIC_URL, and the number, to the address that does not redirect.")
    if status in (502, 503, 504):
        return failure(f"A proxy answers at {origin} with status {status}: no server is behind it.",
                       f"Start the server: {command()}. If it runs, lead the proxy to its PORT.")
    if status == 404:
        return failure(f"{address} is answered with status 404: a proxy asks for another path, or another server is "
                       "there.", "Let the proxy pass the path on as it is, or take a prefix off that PUBLIC_URL has.")
    if status == 403:
        return failure(f"{address} is answered with status 403: by a server with another TWILIO_AUTH_TOKEN or a "
                       "clock that is a minute off, or by a proxy that lets nobody in.",
                       "Start the server anew, so that it reads its settings.")
    return failure(f"{address} is answered with status {status}, by another server than this.",
                   "Set PUBLIC_URL to the address of this one.")


def _changed(saw: str, wanted: str) -> tuple[str, str]:
    """What a proxy has changed, and what to do about it."""
    try:
        seen, asked = URL(saw), URL(wanted)
    except ValueError:
        return f"A proxy says that Twilio asked for what is no address: {saw[:100]}.", "Set PUBLIC_URL for the server."
    setting = f"PUBLIC_URL={wanted.removesuffix(probe.WEBHOOK_PATH)}"
    if (seen.host, seen.explicit_port) != (asked.host, asked.explicit_port):
        return (f"A proxy replaces the Host: the server sees {_authority(saw)}, and Twilio signs for "
                f"{_authority(wanted)}.",
                f"Let the proxy keep the Host, or set {setting} for the server.")
    if seen.scheme != asked.scheme:
        return (f"The server sees {seen.scheme}, and Twilio signs for {asked.scheme}: the proxy does not say so.",
                f"Let the proxy set X-Forwarded-Proto, or set {setting} for the server.")
    return (f"A proxy rewrites the path: the server sees {seen.path}, and Twilio signs for {asked.path}.",
            f"Let the proxy keep the path, or set {setting} for the server.")


def _authority(address: str) -> str:
    return address.partition("://")[2].partition("/")[0]


def media_stream(upgraded: Upgraded, took_s: float) -> Finding:
    """What became of the upgrade, where /incoming-call is in order."""
    if isinstance(upgraded, Stream) and upgraded.ours:
        return Finding("media_stream", "ok", "A websocket passes to /media-stream, and a message came back.",
                       took_s=took_s)
    if isinstance(upgraded, aiohttp.WSServerHandshakeError):
        what = f"the upgrade is answered with status {upgraded.status}"
    elif isinstance(upgraded, TimeoutError):
        what = f"the upgrade is not answered within {ASK_S:g} s"
    elif isinstance(upgraded, Exception):
        what = f"the upgrade breaks off ({why(upgraded)})"
    else:
        what = "it is upgraded, and no message comes back"
    return Finding(
        "media_stream", "failure", f"No websocket passes to /media-stream: {what}.",
        "Let the proxy forward upgrades (nginx: proxy_http_version 1.1, and the headers Upgrade and Connection).")
