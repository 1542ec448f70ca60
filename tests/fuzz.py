"""Everything that reads what others write, for a fuzzer: `python -m tests.fuzz` runs atheris over it, which learns from
what the code does. `python -m tests.fuzz --seconds 3600 settings twiml` is longer, and of some targets only.

A target takes any bytes. What it may raise for bytes that are wrong is part of it; whatever else it raises is a fault.
tests/test_fuzz.py runs the same targets on what hypothesis comes up with, for a moment.
"""

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256

from bridge import log
from bridge.addresses import is_public
from bridge.console import access, passwords
from bridge.delivery import retries, statuses, webhook
from bridge.delivery.answer import Answer
from bridge.meetings import tidy
from bridge.meetings.calendar import ics
from bridge.meetings.contact import e164, email_address
from bridge.meetings.details import differing
from bridge.meetings.hours import OpeningHours
from bridge.meetings.meeting import Meeting
from bridge.meetings.schedule import Refused, Rules, duration, resolve
from bridge.openai_side import realtime
from bridge.reception import token
from bridge.records.database import parse_url
from bridge.redaction import Redaction, escaped
from bridge.settings import BadSettings, Settings, load
from bridge.tools.arguments import read
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import HandOver
from bridge.twilio_side import media_streams, recording, signature, twiml
from bridge.twilio_side.caller import Caller
from bridge.wire import frames
from bridge.wire.frames import Broken, Reader

Target = Callable[[bytes], object]
UTC_ZONE = ZoneInfo("UTC")
AT_ONCE = Tools(hand_over(("sales", "support"))).for_call().immediate
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
MEETING = Meeting(
    id="1", caller="+1", call_sid="CA", name="Ada", email="a@b.example", description="", phone_number="+1",
    start=NOW.replace(minute=0), minutes=30, zone=UTC_ZONE, read_back="")


def words(data: bytes) -> str:
    """Any text, with what no encoding holds too."""
    return data.decode(errors="surrogateescape")


def several(data: bytes, count: int) -> list[str]:
    """As many texts, separated by a byte that UTF-8 has not."""
    return [words(part) for part in (data.split(b"\xff") + [b""] * count)[:count]]


# ---- both protocols

def twilio(data: bytes) -> None:
    """What is no message of Twilio's ends the stream on purpose."""
    for given in (data, data.decode(errors="replace")):
        try:
            media_streams.parse(given)
        except media_streams.Malformed:
            pass


def openai(data: bytes) -> None:
    try:
        realtime.parse(data)
    except realtime.Malformed:
        pass


MOST, BROKEN = 1000, 15


def websocket(data: bytes) -> None:
    """The first byte says who the peer is and how its bytes are cut, which changes nothing of what is read."""
    masked, size = bool(data[:1] > b"\x7f"), (data[0] & 0x7F) + 1 if data else 1
    stream = data[1:]
    pieces = [stream[at:at + size] for at in range(0, len(stream), size)]
    read = _frames(pieces, masked)
    assert read == _frames([stream], masked)
    assert all(len(payload) < (MOST if opcode < frames.CLOSE else 126) for opcode, payload in read)
    again = b"".join(frames.encode(opcode, payload, masked) for opcode, payload in read if opcode != BROKEN)
    assert _frames([again], masked) == [each for each in read if each[0] != BROKEN]


def _frames(pieces: list[bytes], masked: bool) -> list[tuple[int, bytes]]:
    """Messages and control frames; one that is broken is the last, with the code that it is closed with."""
    reader, read = Reader(masked=masked, most=MOST), list[tuple[int, bytes]]()
    for piece in pieces:
        if (text := reader.whole(piece)) is not None:
            read.append((frames.TEXT, bytes(text)))
            continue
        reader.feed(piece)
        try:
            while (taken := reader.take()) is not None:
                if taken[0] == frames.CLOSE:
                    frames.close_code(taken[1])
                read.append((taken[0], bytes(taken[1])))
        except Broken as problem:
            return [*read, (BROKEN, str(problem.code).encode())]
    return read


# ---- who may call

def stream_token(data: bytes) -> None:
    """No text is a token, and one that was made is read only for what it was made for."""
    text, caller, sid = several(data, 3)
    bound, nonce = (caller, sid), data[:token.NONCE_BYTES].ljust(token.NONCE_BYTES, b"0")
    assert token.read(["secret"], token.mint("secret", bound, nonce, 0.0), bound, 1.0).nonce == nonce.hex()
    for shown, shown_for in ((text, bound), (token.mint("other", bound, nonce, 0.0), bound),
                             (token.mint("secret", bound, nonce, 0.0), (caller + "0", sid))):
        try:
            token.read(["secret"], shown, shown_for, 1.0)
        except token.Refused:
            continue
        raise AssertionError(shown)


def signed(data: bytes) -> None:
    """Nobody but Twilio signs, whatever stands in the path, the form and the header."""
    claimed, path, name, value = several(data, 4)
    addresses = signature._upgrade_addresses("https", ["bridge.example.com", "bridge.example.com:443"], "/" + path)
    for algorithm in (HMAC_SHA1, HMAC_SHA256):
        keys = [signature.Key("secret", algorithm), signature.Key("old", algorithm)]
        assert not signature._is_signed(claimed, keys, addresses, {_wired(name): _wired(value)})


# ---- what Twilio is told

def twiml_documents(data: bytes) -> None:
    """Whatever is said, it is XML of these verbs, and only what the settings say is dialled."""
    name, called, sid, text = several(data, 4)
    fallback = twiml.Fallback("human", "I am sorry.", "Goodbye.", "en-US", "+15551234567")
    call = twiml.Call("https://bridge.example.com", Caller(_wired(name)), _wired(called), _wired(sid))
    parameters = twiml.stream_parameters(call, resume=bool(text))
    for document in (twiml.stream(call, parameters, fallback), twiml.in_place_of_the_assistant(fallback, call),
                     twiml.transfer("+15551234567", call), twiml.try_again(call, "/incoming-call")):
        root = ElementTree.fromstring(document)
        assert {number.text for number in root.iter("Number")} <= {"+15551234567"}
        assert {verb.tag for verb in root} <= {"Connect", "Say", "Dial", "Hangup", "Pause", "Redirect"}
        for stream in root.iter("Stream"):
            assert stream.attrib["url"].startswith("wss://bridge.example.com/media-stream/")


def _wired(text: str) -> str:
    """As a form's value arrives: decoded from UTF-8."""
    return text.encode(errors="replace").decode()


# ---- what a caller and a model say

def schedule(data: bytes) -> None:
    text, zone = several(data, 2)
    rules = Rules(zone=UTC_ZONE, opening=OpeningHours.parse("Mon-Fri 09:00-17:00"))
    try:
        moment = resolve(text[:300], rules, NOW, zone[:64])
    except Refused:
        return
    assert moment.tzinfo and moment > NOW


def arguments(data: bytes) -> None:
    text = words(data)
    try:
        given = read(text)
        assert all(given.values())
        differing(MEETING, given)
        assert not (number := e164(given.get("phone_number", ""))) or Caller(number).number
        email_address(given.get("email", ""))
    except Refused:
        pass
    assert AT_ONCE["transfer_call"](text).then in (None, HandOver("sales"), HandOver("support"))
    tidy.without_formula(tidy.several_lines(text)).encode()


def calendar(data: bytes) -> None:
    """One meeting stays one, and each line is one that was meant."""
    name, email, description, phone = several(data, 4)
    meeting = replace(MEETING, name=name, email=email, description=description, phone_number=phone)
    lines = ics(meeting, "owner@example.com", NOW).split("\r\n")
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 1
    known = ("BEGIN:", "END:", "VERSION:", "PRODID:", "METHOD:", "UID:", "DTSTAMP:", "DTSTART:", "DTEND:", "SEQUENCE:",
             "STATUS:", "SUMMARY:", "DESCRIPTION:", "CONTACT:", "ORGANIZER:", "ATTENDEE", " ")
    assert all(line.startswith(known) and "\n" not in line for line in lines if line)


# ---- what a receiver, a stranger or the owner writes

def receiver(data: bytes) -> None:
    assert len(webhook.message_of(data)) <= webhook.MAX_MESSAGE
    status, after = several(data, 2)
    answer = statuses.answered(int(data[0]) * 4, {"Retry-After": after}, "", 1.0) if data else Answer()
    retries.decide(answer, 1, 0.0, 1.0, 0.5)


def stranger(data: bytes) -> None:
    text = words(data)
    access.password_in(text)
    is_public(text)
    try:
        recording.parse(dict(zip(("RecordingSid", "RecordingUrl", "RecordingDuration", "CallSid", "RecordingStatus"),
                                 several(data, 5))), "https://api.twilio.com")
    except recording.NotARecording:
        pass
    try:
        passwords.parse_hash(text)
    except ValueError:
        pass


NAMES = list(Settings.__dataclass_fields__)


def settings(data: bytes) -> None:
    """The first byte says which; what is wrong is a line that names it, and never shows it where it is a secret."""
    name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
    text = words(data[1:])
    try:
        repr(load({"OPENAI_API_KEY": "sk-simulated", name: text}))
    except BadSettings as problem:
        assert str(problem).splitlines()
    for parse in (duration, OpeningHours.parse, parse_url, webhook.parse_secrets):
        try:
            parse(text)
        except ValueError:
            pass


REDACT = Redaction(["token-very-secret"])


def logged(data: bytes) -> None:
    """No line holds a secret, and each record is one line."""
    text = words(data)
    said = {"what": text + "token-very-secret"}
    record = logging.LogRecord("x", logging.INFO, "", 0, "said %(what)s", (said,), None)
    line = log.TextFormatter(REDACT).format(record)
    assert line.isprintable() and "very-secret" not in line
    line = log.JsonFormatter(REDACT).format(record)
    assert line.isprintable() and "very-secret" not in line
    json.loads(line)
    assert escaped(text).isprintable()


TARGETS: dict[str, Target] = {each.__name__: each for each in (
    twilio, openai, websocket, stream_token, signed, twiml_documents, schedule, arguments, calendar, receiver, stranger,
    settings, logged)}

SEEDS: dict[str, list[bytes]] = {
    "twilio": [b'{"event":"media","streamSid":"MZ1","media":{"payload":"//79","timestamp":"20","track":"inbound"}}',
               b'{"event":"start","streamSid":"MZ1","start":{"callSid":"CA00000000000000000000000000000000",'
               b'"streamSid":"MZ1","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}',
               b'{"event":"mark","mark":{"name":"1"}}', b'{"event":"stop"}', b'{"event":"dtmf","dtmf":{"digit":"1"}}'],
    "openai": [b'{"type":"response.output_audio.delta","delta":"//79","item_id":"i","response_id":"r"}',
               b'{"type":"response.done","response":{"id":"r","status":"completed","output":[],"usage":{}}}',
               b'{"type":"error","error":{"type":"x","code":"y","message":"z"}}'],
    "websocket": [b"\x05" + frames.encode(frames.TEXT, b"x" * 200, False) + frames.encode(frames.PING, b"x", False),
                  b"\xff" + frames.encode(frames.TEXT, b"x" * 200, True) + frames.encode_close(1000, True),
                  b"\x03\x01\x02he\x89\x00\x80\x03llo\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x"],
    "signed": [b"L/OH5YylLD5NRKLltdqwSvS0BnU=\xffincoming-call?a=%2B\xffFrom\xff+15551234567", b"\xff\x80"],
    "schedule": [b"next Tuesday at half past ten", b"2026-12-03T10:00:00+01:00\xffEurope/Berlin", b"in two hours"],
    "arguments": [b'{"name":"Ada","email":"a@b.example","datetime":"tomorrow at ten"}', b'{"to":"sales"}'],
    "settings": [bytes([number]) + b"1" for number in range(len(NAMES))],
}


# ---- by hand

#: A process of its own: atheris must see our modules when they are imported, and ends the process itself.
PROGRAM = """
import sys, atheris
with atheris.instrument_imports(include=["bridge", "tests.fuzz"]):
    from tests import fuzz
name, seconds, corpus, found = sys.argv[1:]
atheris.Setup(["fuzz", f"-max_total_time={seconds}", "-max_len=2048", "-timeout=20", "-verbosity=0",
               f"-artifact_prefix={found}/", corpus],
              fuzz.TARGETS[name])
atheris.Fuzz()
"""


def fuzz(name: str, seconds: int) -> str:
    """"" or what went wrong, with the input that did it in base64: the fuzzer's own files are not kept."""
    with TemporaryDirectory() as corpus, TemporaryDirectory() as found:
        for number, seed in enumerate(SEEDS.get(name, [])):
            (Path(corpus) / str(number)).write_bytes(seed)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, name, str(seconds), corpus, found], capture_output=True, text=True,
            errors="replace", cwd=Path(__file__).parent.parent)
    return f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}" if done.returncode else ""


def main() -> int:
    """One target after the other; 1 when one met a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes what reads others' bytes.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="some of: " + ", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together")
    options = parser.parse_args()
    targets = options.targets or [*TARGETS]
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"there is no {unknown.pop()}")
    failed = False
    for name in targets:
        fault = fuzz(name, max(options.seconds // len(targets), 1))
        print(f"{name:<16} {'FAULT' if fault else 'ok'}", flush=True)
        if fault:
            failed = True
            print(fault)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
