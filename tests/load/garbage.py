"""Websocket frames that no phone sends, of many kinds. Pure. The same dice throw the same frames.

Each is a whole frame's first byte and its payload. A stream must survive those of KINDS. After those of CLOSES it
cannot go on, and is closed with the code beside them.
"""

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.load.wire import CLOSE, PING, PONG, TEXT

BINARY = 0x82
#: The first bytes of a text in pieces: of its first frame, and of further ones.
BEGINS, GOES_ON = 0x01, 0x00
_LONGEST = 60_000                                    # a message may have 64 KiB

Frame = tuple[int, bytes]
_Dice = random.Random

#: Values that take the place of others.
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2 ** 63, -2 ** 70, 10 ** 300, 1.5, -0.0, "", " ", "\0", "\u2028", "nan", "1e5", "MZ",
    "ÿ" * 40, [], [[]], {}, {"": {}}, ["media"], {"payload": []}, "</Response>", "\r\nX-Forged: 1",
    "'; DROP TABLE calls; --", "😀")


def frames(seed: int) -> Iterator[tuple[str, Frame]]:
    """Yields frames without end, each with the name of its kind."""
    dice = random.Random(seed)
    kinds = [*KINDS.items()]
    while True:
        name, make = dice.choice(kinds)
        yield name, make(dice)


def _json(message: Any) -> Frame:
    return TEXT, json.dumps(message).encode()


def _text(payload: bytes) -> Frame:
    return TEXT, payload


def _sid(dice: _Dice) -> str:
    """A streamSid, well-formed or not."""
    return dice.choice((f"MZ{dice.getrandbits(128):032x}", f"MZ{dice.getrandbits(128):032X}", "MZ", "", "🎙" * 34))


def _media(dice: _Dice, payload: Any, timestamp: Any = 0) -> dict[str, Any]:
    return {"event": "media", "sequenceNumber": "7", "streamSid": _sid(dice),
            "media": {"track": "outbound", "chunk": "3", "timestamp": timestamp, "payload": payload}}


def _inbound(dice: _Dice, payload: Any, timestamp: Any = "0") -> Frame:
    """Audio like the caller's own, which goes on to the model."""
    message = _media(dice, payload, timestamp)
    message["media"]["track"] = "inbound"
    return _json(message)


def _audio(dice: _Dice, size: int) -> str:
    return base64.b64encode(dice.randbytes(size)).decode()


def _whole(dice: _Dice) -> bytes:
    return json.dumps(_media(dice, _audio(dice, 160))).encode()


def _cut(dice: _Dice) -> Frame:
    message = _whole(dice)
    return _text(message[:dice.randrange(len(message))])


def _changed(dice: _Dice) -> Frame:
    """One byte is changed: mostly it is still JSON, now and then no UTF-8."""
    message = bytearray(_whole(dice))
    message[dice.randrange(len(message))] = dice.randrange(256)
    return _text(bytes(message))


def _no_utf8(dice: _Dice) -> Frame:
    bad = dice.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\x80", b"\xe2\x82"))
    return _text(b'{"event":"media","media":{"track":"outbound","payload":"%s"}}' % bad)


def _nested(dice: _Dice) -> Frame:
    opening, closing = dice.choice(((b"[", b"]"), (b'{"event":', b"}"), (b'{"media":', b"}")))
    depth = dice.randrange(1, dice.choice((10, 100, 1000, _LONGEST // 10)))
    return _text(opening * depth + dice.choice((b"", b"1" + closing * depth)))


def _known_but_wrong(dice: _Dice) -> Frame:
    """A known event with a body of another kind. `stop` has an entry of its own."""
    event = dice.choice(("media", "mark", "dtmf", "start"))
    return _json({"event": event, "streamSid": dice.choice(_ODD), event: dice.choice(_ODD)})


def _wrong_fields(dice: _Dice) -> Frame:
    message = _media(dice, dice.choice(_ODD), dice.choice(_ODD))
    message["media"][dice.choice(("track", "chunk", "extra"))] = dice.choice(_ODD)
    return _json(message)


def _huge_number(dice: _Dice) -> Frame:
    number = dice.choice((b"9" * 400, b"-" + b"9" * 30, b"1e400", b"1e-400", b"NaN", b"-Infinity", b"0x10", b"00"))
    return _text(b'{"event":"media","media":{"track":"outbound","payload":"","timestamp":%s}}' % number)


def _time_jumps(dice: _Dice) -> Frame:
    """A jump in time. A jump back has no effect. A jump ahead, which is rare, is filled with two seconds of silence."""
    if dice.random() < 0.98:
        return _inbound(dice, _audio(dice, 160), dice.choice((-1, -2 ** 40, -2 ** 63)))
    return _inbound(dice, _audio(dice, 160), dice.choice((2 ** 40, str(2 ** 62), 2 ** 63 - 1)))


def _started_anew(dice: _Dice) -> Frame:
    sid = f"MZ{dice.getrandbits(128):032x}"
    return _json({"event": "start", "streamSid": sid, "start": {
        "streamSid": sid, "callSid": f"CA{dice.getrandbits(128):032x}", "accountSid": "AC", "tracks": ["inbound"],
        "customParameters": {"caller": "+15550000001", "token": _audio(dice, 40)},
        "mediaFormat": {"encoding": "audio/x-l16", "sampleRate": dice.randrange(10 ** 9), "channels": 2}}})


def _key(dice: _Dice) -> Frame:
    return _json({"event": "dtmf", "streamSid": _sid(dice), "dtmf": {"track": "inbound_track", "digit": dice.choice((
        "", "E", "11", "１", "*#", "1\n", " ", "hash", "#" * 5000, 1, -1, None, ["1"], {"digit": "1"}))}})


def _mark(dice: _Dice) -> Frame:
    return _json({"event": "mark", "streamSid": _sid(dice), "mark": {"name": dice.choice((
        f"never-{dice.getrandbits(64)}", "", "0", "-1", "9" * 50, "m" * dice.randrange(1, 5000), "\0", "😀"))}})


def _twice(dice: _Dice) -> Frame:
    return _text(b'{"event":"%s","event":"media","media":{"payload":"","payload":[],"track":"outbound"}}'
                 % dice.choice((b"mark", b"nothing", b"dtmf")))


KINDS: dict[str, Callable[[_Dice], Frame]] = {
    "empty": lambda dice: _text(b""),
    "blanks": lambda dice: _text(dice.choice((b" ", b"\n", b"\t", b"\0")) * dice.randrange(1, 200)),
    "no JSON": lambda dice: _text(bytes(dice.choices(range(32, 127), k=dice.randrange(1, 200)))),
    "noise": lambda dice: _text(dice.randbytes(dice.randrange(1, 200))),
    "a message cut short": _cut,
    "a byte changed": _changed,
    "no UTF-8": _no_utf8,
    "half a character": lambda dice: _text(b'{"event":"mark","mark":{"name":"\\ud8%02x"}}' % dice.randrange(256)),
    "binary": lambda dice: (BINARY, dice.choice((b"", _whole(dice), dice.randbytes(dice.randrange(500))))),
    "JSON, but no message": lambda dice: _json(dice.choice(_ODD)),
    "deeply nested": _nested,
    "an unknown event": lambda dice: _json({"event": f"x{dice.getrandbits(32)}", "streamSid": _sid(dice)}),
    "an event that is none": lambda dice: _json({"event": dice.choice([odd for odd in _ODD if odd != "media"])}),
    "no event": lambda dice: _json({"media": {"payload": _audio(dice, 160)}, "streamSid": _sid(dice)}),
    "an event twice": _twice,
    "a known event, wrong within": _known_but_wrong,
    "fields of wrong types": _wrong_fields,
    "another stream's": lambda dice: _json(_media(dice, _audio(dice, 160), "0")),
    "base64 that is none": lambda dice: _inbound(dice, "".join(dice.choices("=/+-_ \\\"\n€", k=dice.randrange(300)))),
    "audio of odd sizes": lambda dice: _inbound(dice, _audio(dice, dice.choice((0, 1, 2, 3, 159, 161, 320, 5000)))),
    "huge numbers": _huge_number,
    "time jumps": _time_jumps,
    "marks that were never sent": _mark,
    "keys that are none": _key,
    "connected again": lambda dice: _json({"event": "connected", "protocol": dice.choice(_ODD), "version": "9.9.9"}),
    "started anew": _started_anew,
    "long": lambda dice: _text(b'{"event":"long","x":"%s"}' % (b"x" * dice.randrange(dice.choice((1000, _LONGEST))))),
    "many fields": lambda dice: _json({f"k{number}": number for number in range(dice.randrange(300))}),
    "pings": lambda dice: (PING, dice.randbytes(dice.randrange(126))),
    "pongs that nobody asked for": lambda dice: (PONG, dice.randbytes(dice.randrange(126))),
}


class Fatal(NamedTuple):
    """Frames after which the server closes a stream with `code`."""

    frames: tuple[Frame, ...]
    code: int


CLOSES: dict[str, Fatal] = {
    "too long": Fatal(((TEXT, b"x" * 65_537),), 1009),
    "pieces without end": Fatal(((BEGINS, b"x"), *((GOES_ON, b"x" * 1000),) * 70), 1009),
    "a reserved kind of frame": Fatal(((0x83, b"x"),), 1002),
    "a reserved bit": Fatal(((0xC1, b"x"),), 1002),
    "a ping in pieces": Fatal(((0x09, b"x"),), 1002),
    "a piece of nothing": Fatal(((0x80, b"x"),), 1002),
    "a text amid pieces": Fatal(((BEGINS, b"x"), (TEXT, b"{}")), 1002),
    "a close of one byte": Fatal(((CLOSE, b"x"),), 1002),
    "a close with no code": Fatal(((CLOSE, (5).to_bytes(2, "big")),), 1002),
    "a stop that is none": Fatal(((TEXT, b'{"event":"stop","stop":17}'),), 1000),
}
