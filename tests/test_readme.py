"""What the READMEs say is true: the webhook's example and two ways to check a signature; every link leads somewhere."""

import base64
import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest

from bridge.delivery.webhook import headers_for
from bridge.meetings import message
from bridge.meetings.event import SCHEMA, body
from bridge.meetings.meeting import Meeting
from bridge.records.deliveries import Delivery

ROOT = Path(__file__).parents[1]
CONTRACT = (ROOT / "bridge" / "delivery" / "README.md").read_text()
SECRETS = ["whsec_" + base64.b64encode(key * 24).decode() for key in (b"a", b"b")]


def block(language: str, containing: str) -> str:
    found: str
    [found] = [each for each in re.findall(rf"```{language}\n(.*?)```", CONTRACT, re.S) if containing in each]
    return found


def signed(now: float) -> tuple[dict[str, str], str]:
    """The headers, in lower case as frameworks have them, and the body of a delivery."""
    zone = ZoneInfo("Europe/Berlin")
    meeting = Meeting(
        id="m", caller="+1", call_sid="CA", name="Ädä", email="ada@example.com", description="", phone_number="",
        start=datetime(2026, 12, 3, 10, tzinfo=zone), minutes=30, zone=zone, read_back="")
    text = body(meeting, "meeting.booked", datetime.fromtimestamp(now, zone))
    delivery = Delivery(
        id="msg_1", about_kind="meeting", about_id="m",
        url="", type="meeting.booked", body=text, created_at=0, since=0, attempts=1,
        state="pending", next_at=0, last_error="", answer="")
    return {name.lower(): value for name, value in headers_for(delivery, SECRETS, now).items()}, text


def test_the_example_is_what_is_sent() -> None:
    example = json.loads(block("json", "meeting.booked"))
    jsonschema.validate({**example, "ics": "BEGIN:VCALENDAR\r\n"}, SCHEMA)
    assert example.keys() == json.loads(signed(1.0)[1]).keys()


def test_the_example_of_a_message_is_what_is_sent() -> None:
    example = json.loads(block("json", "message.recorded"))
    jsonschema.validate(example, message.SCHEMA)
    assert example == json.loads(message.body(message.Message(
        id=example["id"], caller=example["phone_number"], call_sid=example["call_sid"], seconds=12,
        recording_url=example["recording_url"], recorded=datetime.fromisoformat(example["timestamp"])),
        ZoneInfo("Europe/Berlin")))


@pytest.mark.parametrize("secret", SECRETS)
def test_the_python_snippet_tells_right_from_wrong(secret: str) -> None:
    names: dict[str, Any] = {}
    exec(block("python", "def verified"), names)
    verified, (headers, text) = names["verified"], signed(datetime.now().timestamp())
    assert verified(headers, text.encode(), secret)
    assert not verified(headers, text.encode() + b" ", secret)
    assert not verified(headers, text.encode(), "whsec_" + base64.b64encode(b"another").decode())
    old, text = signed(datetime.now().timestamp() - 3600)
    assert not verified(old, text.encode(), secret)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: the README's JavaScript is not run")
def test_the_node_snippet_tells_right_from_wrong() -> None:
    headers, text = signed(datetime.now().timestamp())
    old, old_text = signed(datetime.now().timestamp() - 3600)
    cases = [[headers, text, SECRETS[0]], [headers, text, SECRETS[1]], [headers, text + " ", SECRETS[0]],
             [headers, text, "whsec_YW5vdGhlcg=="], [old, old_text, SECRETS[0]]]
    program = block("js", "function verified") + (
        f"console.log(JSON.stringify({json.dumps(cases)}.map((each) => verified(...each))))")
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [True, True, False, False, False]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [ROOT / "README.md", *ROOT.glob("bridge/**/*.md"), *ROOT.glob("tests/**/*.md"), *ROOT.glob(".github/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_a_face_and_no_manual() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250
