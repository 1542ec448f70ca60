"""How commands print: tables and facts, on lines that no words of a caller's can break or steer. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def plain(words: str) -> str:
    """On one line, and without what would steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned columns, the first row the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def facts(named: Sequence[tuple[str, Any]]) -> str:
    """A line for each fact that is not empty."""
    return "\n".join(f"{name + ':':<12}{plain(str(fact))}" for name, fact in named if fact != "")


def utc(seconds: float) -> str:
    """A moment given in seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
