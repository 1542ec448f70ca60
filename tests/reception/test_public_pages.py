"""What the server answers people and monitors."""

from typing import Any

import pytest

from bridge import __version__
from bridge.meetings import event, message
from tests.stage.webhooks import TOKEN, Open


async def test_the_front_page_says_that_the_server_runs_and_its_version(open_bridge: Open) -> None:
    answer = await (await open_bridge()).get("/")
    assert answer.status == 200
    assert await answer.json() == {"service": "bridge", "version": __version__, "status": "running"}


async def test_a_monitor_is_answered(open_bridge: Open) -> None:
    assert (await (await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)).get("/healthz")).status == 200


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nothing", 404), ("PUT", "/incoming-call", 405), ("GET", "/media-stream/", 404),
    ("GET", "/media-stream/1/2", 404), ("GET", "/media-stream/15551234567", 400),
])
async def test_what_is_not_there_is_not_there(open_bridge: Open, method: str, path: str, status: int) -> None:
    assert (await (await open_bridge()).request(method, path)).status == status


@pytest.mark.parametrize(("path", "schema"), [
    ("/meeting.schema.json", event.SCHEMA), ("/message.schema.json", message.SCHEMA)])
async def test_an_owner_may_read_what_the_webhook_gets(open_bridge: Open, path: str, schema: dict[str, Any]) -> None:
    answer = await (await open_bridge()).get(path)
    assert (answer.status, answer.content_type) == (200, "application/schema+json")
    assert await answer.json(content_type=None) == schema
