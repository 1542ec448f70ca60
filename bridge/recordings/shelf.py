"""Where finished recordings are kept: a folder, or an object store such as S3.

An address is the place and a file's name: `recordings/CA...wav`, `s3://bucket/calls/CA...wav`. It stands in the call's
record. So a recording is found after RECORDINGS was changed.

Object stores are reached by the package `obstore` (https://developmentseed.org/obstore). Only who names one needs it,
so it is not among the requirements, and is imported when one is named. It takes the keys from RECORDINGS_STORE, else
from where the store's own tools look: the environment, or the machine's role.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from yarl import URL

from bridge.addresses import names_loopback

#: The stores that can be named, as obstore has them.
SCHEMES = ("s3", "gs", "az")
MISSING = "needs the package obstore, which is not installed: pip install 'obstore>=0.12,<0.13'"
#: Where recordings are written, within the folder; in a working folder of the server if they go to an object store.
UNFINISHED = "unfinished"
OF_STORES = "recordings"
#: How long one request to a store may take, and how often obstore itself tries again.
_TIMEOUT, _RETRIES = "60s", 2


class ShelfFailed(Exception):
    """The place did not do what it was asked. The message is a short reason without secrets."""


class Shelf(Protocol):
    """A place for recordings. Everything raises ShelfFailed."""

    async def put(self, name: str, path: Path) -> None:
        """Keeps a file under this name. A file of that name is replaced. The one at `path` is gone then."""

    async def remove(self, name: str) -> None:
        """Removes the file of this name, if there is one."""


# ---- what is named

def is_store(place: str) -> bool:
    """Whether this is an object store, and no folder."""
    return "://" in place


def parse_place(text: str) -> str:
    """Reads RECORDINGS. Raises ValueError with what is wrong, as the end of a sentence."""
    if not is_store(text):
        return text.rstrip("/") or "/"
    address = URL(text)
    if address.scheme not in SCHEMES or not address.host or address.user or address.query_string or address.fragment:
        raise ValueError("must be a folder, or a bucket such as s3://bucket/folder (" + ", ".join(SCHEMES) + ")")
    _obstore()
    return text.rstrip("/")


def parse_options(text: str) -> dict[str, str]:
    """Reads RECORDINGS_STORE: `region=...,access_key_id=...`. Raises ValueError."""
    options: dict[str, str] = {}
    for each in filter(None, map(str.strip, text.split(","))):
        name, equals, value = each.partition("=")
        if not equals or not value.strip():
            raise ValueError("must be names and values")
        options[name.strip().lower()] = value.strip()
    endpoint = options.get("endpoint", "")
    if endpoint.startswith("http://") and not names_loopback(URL(endpoint)):
        raise ValueError("needs an endpoint with https:// (http:// on this machine only)")
    return options


def unfinished(place: str) -> Path:
    """The folder in which recordings for this place are written, and wait for it."""
    return Path(OF_STORES if is_store(place) else place) / UNFINISHED


def open_shelf(place: str, options: Mapping[str, str]) -> Shelf:
    """The place of this name (parse_place); nothing is asked of it yet. Raises ValueError for options it does not know.
    """
    return _Store(place, options) if is_store(place) else _Folder(Path(place))


async def remove(address: str, options: Mapping[str, str]) -> None:
    """Removes a recording by its address, wherever it is, also one that waits for its place. Raises ShelfFailed."""
    place, _, name = address.rpartition("/")
    try:
        shelf = open_shelf(place, options)
    except ValueError as error:
        raise ShelfFailed(f"{place} {error}") from None
    await _Folder(unfinished(place)).remove(name)
    await shelf.remove(name)


# ---- the places

class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, name: str, path: Path) -> None:
        await _in_thread(path.replace, self._folder / name)

    async def remove(self, name: str) -> None:
        await _in_thread(partial((self._folder / name).unlink, missing_ok=True))


class _Store:
    def __init__(self, place: str, options: Mapping[str, str]) -> None:
        self._obstore = _obstore()
        client = {"timeout": _TIMEOUT, "allow_http": options.get("endpoint", "").startswith("http://")}
        try:
            self._store = import_module("obstore.store").from_url(
                place, config=dict(options) or None, client_options=client, retry_config={"max_retries": _RETRIES})
        except self._obstore.exceptions.BaseError as error:
            raise ValueError(f"cannot be opened: {_short(error)}") from None

    async def put(self, name: str, path: Path) -> None:
        await self._do(self._obstore.put_async(self._store, name, path, attributes={"Content-Type": "audio/wav"}))
        await _in_thread(partial(path.unlink, missing_ok=True))

    async def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            await self._do(self._obstore.delete_async(self._store, name))

    async def _do(self, work: Any) -> None:
        try:
            await work
        except FileNotFoundError:
            raise
        except Exception as error:                   # obstore's own, and those that it takes over from Python
            raise ShelfFailed(_short(error)) from None


async def _in_thread(work: Any, *arguments: Any) -> None:
    try:
        await asyncio.to_thread(work, *arguments)
    except OSError as error:
        raise ShelfFailed(error.strerror or str(error)) from None


def _obstore() -> Any:
    try:
        import_module("obstore.exceptions")
        return import_module("obstore")
    except ImportError:
        raise ValueError(MISSING) from None


def _short(error: Exception) -> str:
    """The first line of an error, without the request that it quotes."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
