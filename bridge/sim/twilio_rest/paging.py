"""Lists in pages: https://www.twilio.com/docs/usage/twilios-response#pagination"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from bridge.sim.twilio_rest.refusals import wrong

PARAMETERS = ("PageSize", "Page", "PageToken")
USUAL, MOST = 50, 1000


class Page(NamedTuple):
    """Some records of a list, and the addresses of this page and its neighbours, None where there is none."""

    records: list[dict[str, Any]]
    number: int
    size: int
    this: str
    first: str
    previous: str | None
    next: str | None


def page(records: Sequence[dict[str, Any]], path: str, query: Mapping[str, str]) -> Page:
    """The page that `query` asks for. Raises Refused: a page behind the first is asked for with its token."""
    size, number = _whole(query, "PageSize", USUAL, 1), _whole(query, "Page", 0, 0)
    if size > MOST:
        raise wrong(f"PageSize is more than {MOST}.")
    filters = {name: value for name, value in query.items() if name not in PARAMETERS}

    def address(page: int) -> str:
        token = {"PageToken": _token(page)} if page else {}
        return f"{path}?{urlencode({**filters, 'PageSize': size, 'Page': page, **token})}"
    if query.get("PageToken", "") != (_token(number) if number else ""):
        raise wrong("Page is asked for without the PageToken of the page before it.")
    begin, end = number * size, (number + 1) * size
    return Page(
        list(records[begin:end]), number, size, address(number), address(0),
        address(number - 1) if number else None, address(number + 1) if end < len(records) else None)


def _token(page: int) -> str:
    return f"PA{page:032x}"


def _whole(query: Mapping[str, str], name: str, usual: int, least: int) -> int:
    value = query.get(name, str(usual))
    if not value.isdecimal() or int(value) < least:
        raise wrong(f"{name} is no whole number from {least}: {value}")
    return int(value)
