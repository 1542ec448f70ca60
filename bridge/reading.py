"""Reads what a vendor sends: strict where it steers a call, lenient where it only informs.

Pure. A message is one of several structs, told apart by their tag.

1. A field without a default steers. Where it is missing or wrong the message is Malformed.
2. A field with a default informs. Where it is wrong it is left out, and the rest of the message counts. The log says so
   once for each field. `null` is as if left out, and a number as text is that number.
3. A kind that is not listed is ignored, so that a vendor may add some.
"""

import logging
from collections.abc import Iterator
from functools import cache
from typing import Any, Generic, TypeVar, cast, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

log = logging.getLogger(__name__)

Message = TypeVar("Message")

#: msgspec's ways to say that it cannot read something.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Malformed(ValueError):
    """A message that is not what its own tag promises."""


class Reader(Generic[Message]):
    """`kinds`: a union of tagged structs. `numbers_as_text`: the vendor writes its numbers as strings by custom.

    `sender` names the vendor in log lines.
    """

    def __init__(self, kinds: Any, sender: str, *, numbers_as_text: bool = False) -> None:
        self._decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(kinds, strict=not numbers_as_text)
        self._kinds: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(kinds)}
        [tag_field] = {kind.__struct_config__.tag_field for kind in self._kinds.values()}
        self._tag_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Tag", [("tag", str, msgspec.field(name=tag_field))]))
        self._sender = sender
        self._told: set[str] = set()         # fields of which the log has said that they are odd

    def read(self, message: bytes | str) -> Message | None:
        """The message in one text frame; None for a kind that is not listed. Raises Malformed."""
        try:
            return self._decoder.decode(message)
        except _UNREADABLE as error:
            problem = str(error)
        try:
            tag = self._tag_decoder.decode(message).tag
            if tag not in self._kinds:
                return None
            return self._leniently(msgspec.json.decode(message), tag)
        except msgspec.ValidationError as error:
            problem = str(error)
        except _UNREADABLE:
            pass
        raise Malformed(problem)

    def _leniently(self, given: dict[str, Any], tag: str) -> Message:
        kind = self._kinds[tag]
        try:
            mended: Any = msgspec.convert(self._mended(given, kind, tag), kind, strict=False)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"{tag}: {error}") from None
        return cast(Message, mended)

    def _mended(self, given: dict[str, Any], kind: type[Struct], path: str) -> dict[str, Any]:
        """Those fields of `kind` that are given and can be read, or that cannot be done without."""
        kept: dict[str, Any] = {}
        for field, inner in _fields(kind):
            value = given.get(field.encode_name)
            if value is None:
                continue
            where = f"{path}.{field.encode_name}"
            if inner and isinstance(value, dict):
                value = self._mended(value, inner, where)
            if field.required or self._fits(value, field.type, where):
                kept[field.encode_name] = value
        return kept

    def _fits(self, value: object, kind: Any, where: str) -> bool:
        try:
            msgspec.convert(value, kind, strict=False)
        except (msgspec.ValidationError, RecursionError) as error:
            if where not in self._told:
                self._told.add(where)
                log.warning("%s sends a field that cannot be read, which is left out: %s (%s)",
                            self._sender, where, error)
            return False
        return True


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[FieldInfo, type[Struct] | None], ...]:
    """The fields of a struct, each with the struct that it holds, if it does."""
    return tuple((field, next(_structs(field.type), None)) for field in msgspec.structs.fields(kind))


def _structs(kind: Any) -> Iterator[type[Struct]]:
    for each in get_args(kind) or (kind,):
        if isinstance(each, type) and issubclass(each, Struct):
            yield each
