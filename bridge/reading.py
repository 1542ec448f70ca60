"""Reads a vendor's messages: strict where a field steers a call, lenient where it only informs.

Pure. A message is one of several structs, told apart by their tag.

1. A field without a default steers. If it is missing or wrong, the message is Malformed.
2. A field with a default informs. If it is wrong, it is left out and the rest of the message counts. The log says so
   once for each field. `null` counts as left out, and a number written as text counts as that number.
3. A kind that is not listed is ignored, because vendors add kinds.
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

#: The exceptions of msgspec for a message that it cannot read.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Malformed(ValueError):
    """A message that is no JSON, has no tag, or lacks a field that its tag requires."""


class Reader(Generic[Message]):
    """Reads one vendor's messages. Make one for each protocol and use it for all calls.

    `kinds` is a union of tagged structs. `sender` names the vendor in log lines. `numbers_as_text`: the vendor usually
    writes numbers as strings.
    """

    def __init__(self, kinds: Any, sender: str, *, numbers_as_text: bool = False) -> None:
        self._decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(kinds, strict=not numbers_as_text)
        self._kinds: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(kinds)}
        [tag_field] = {kind.__struct_config__.tag_field for kind in self._kinds.values()}
        self._tag_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Tag", [("tag", str, msgspec.field(name=tag_field))]))
        self._sender = sender
        self._told: set[str] = set()         # the odd fields that the log has named already

    def read(self, message: bytes | bytearray | str) -> Message | None:
        """The message in one text frame, or None for a kind that is not listed. Raises Malformed."""
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
        """The given fields of `kind` that can be read. Required ones are kept in any case, and fail in `convert`."""
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
    """The fields of a struct, each with the struct that it holds, or None."""
    return tuple((field, next(_structs(field.type), None)) for field in msgspec.structs.fields(kind))


def _structs(kind: Any) -> Iterator[type[Struct]]:
    for each in get_args(kind) or (kind,):
        if isinstance(each, type) and issubclass(each, Struct):
            yield each
