"""What a check has found, and all findings as a report: for people, for machines, and as an exit code.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

#: Everything is as it should be. Calls work, and something is worth doing. A call would fail. From here it cannot be
#: known. It was not looked at, since something before it has to be mended first, or is not used.
State = Literal["ok", "warning", "failure", "not proven", "skipped"]

#: The checks in the order in which a call meets them, by what they are about.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "server": ("settings", "port", "database", "clock"),
    "way_in": ("dns", "tls", "incoming_call", "media_stream", "reach"),
    "twilio": ("account", "number", "fallback", "alerts", "call"),
    "model": ("key", "model", "session", "credit"),
    "webhook": ("webhook",),
}
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    `says`: one sentence. `do`: the one thing to do about it, a sentence; `command`: the command that does it, if one
    does. `subject`: which number or host, where a check looks at several. `took_s`: how long what was asked took.
    """

    name: str
    state: State
    says: str
    do: str = ""
    command: str = ""
    subject: str = ""
    took_s: float | None = None

    @property
    def group(self) -> str:
        return _GROUP_OF[self.name]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, in order. `at`: seconds since 1970."""

    findings: Sequence[Finding]
    version: str
    at: float
    took_s: float

    @property
    def exit_code(self) -> int:
        """0: nothing speaks against a call; 1: warnings; 2: a call would fail."""
        states = {each.state for each in self.findings}
        return 2 if "failure" in states else 1 if "warning" in states else 0

    def as_json(self) -> dict[str, Any]:
        """As SCHEMA describes it."""
        counts = {state: sum(each.state == state for each in self.findings) for state in get_args(State)}
        return {
            "version": self.version,
            "checked_at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "took_s": round(self.took_s, 2), "exit_code": self.exit_code, "counts": counts,
            "findings": [_as_json(each) for each in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """For a terminal: a line for each check, and one below it for what is to be done."""
        for each in self.findings:
            yield f"{each.state:<11}{each.name:<14}{each.says}"
            if each.do or each.command:
                yield " " * 25 + "→ " + " ".join(filter(None, (each.do, each.command)))
        yield ""
        yield self.verdict()

    def verdict(self) -> str:
        """The whole in a sentence."""
        failures, warnings, open_ = (
            sum(each.state == state for each in self.findings) for state in ("failure", "warning", "not proven"))
        unproven = f" {_counted(open_, 'thing')} cannot be proven from here." if open_ else ""
        if failures:
            return f"A call would fail: {_counted(failures, 'failure')}, {_counted(warnings, 'warning')}.{unproven}"
        if warnings:
            return f"Calls should work; {_counted(warnings, 'thing')} {'is' if warnings == 1 else 'are'} worth " \
                   f"doing.{unproven}"
        return f"Nothing speaks against a call.{unproven}"


def sentence(text: str) -> str:
    """With a full stop at its end."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """In the order in which a call meets them; those of one name stay as they are."""
    places = {name: place for place, name in enumerate(_GROUP_OF)}
    return sorted(findings, key=lambda each: places[each.name])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "group": finding.group, "name": finding.name, "subject": finding.subject, "state": finding.state,
        "says": finding.says, "do": finding.do, "command": finding.command,
        "took_s": None if finding.took_s is None else round(finding.took_s, 2)}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


#: What `--json` prints, as a JSON Schema.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What `python -m bridge doctor` has found",
    **_object(
        version=_TEXT, checked_at={"type": "string", "format": "date-time"}, took_s={"type": "number"},
        exit_code={"enum": [0, 1, 2]}, counts=_object(**dict.fromkeys(get_args(State), _COUNT)),
        findings={"type": "array", "items": _object(
            group={"enum": [*GROUPS]}, name={"enum": [*_GROUP_OF]}, subject=_TEXT, state={"enum": [*get_args(State)]},
            says={"type": "string", "minLength": 1}, do=_TEXT, command=_TEXT,
            took_s={"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]})}),
}
