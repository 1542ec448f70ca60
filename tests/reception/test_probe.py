"""Probes of `python -m bridge doctor`: what they are answered, and that nobody else gets anything out of them."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest

from bridge import keys
from bridge.reception import probe
from bridge.reception.token import LIFE_S
from tests.stage.exposed import FORM, HOST, PARAMETERS, STREAM, TOKEN, WEBHOOK, Exposed, exposed, signed
from tests.stage.store import rows


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Exposed]:
    async with exposed(tmp_path) as world:
        yield world


def marked(path: str = probe.WEBHOOK_PATH, token: str = TOKEN, age: float = 0) -> dict[str, str]:
    return {probe.HEADER: probe.mint(token, path, time.time() - age)}


async def ask(world: Exposed, headers: dict[str, str], path: str = "/incoming-call") -> tuple[int, str, str]:
    """The status, the answer's token, and what is said."""
    async with world.http.post(world.url(path), data=FORM, headers=headers) as answer:
        return answer.status, answer.headers.get(probe.ANSWER_HEADER, ""), await answer.text()


async def test_it_is_answered_as_a_call_would_be_and_is_none(world: Exposed) -> None:
    headers = marked() | signed(WEBHOOK, FORM)
    status, answer, document = await ask(world, headers)
    [stream] = ElementTree.fromstring(document).iter("Stream")
    assert (status, stream.attrib["url"], list(stream)) == (200, f"wss://{HOST}/media-stream/15551234567", [])
    assert probe.is_answer([TOKEN], headers[probe.HEADER], answer, time.time())
    assert not probe.is_answer(["another"], headers[probe.HEADER], answer, time.time())
    assert not probe.is_answer([TOKEN], marked()[probe.HEADER], answer, time.time())
    assert await rows(world.app[keys.DATABASE], "calls") == []
    assert world.model.connections == 0


async def test_its_stream_goes_there_and_back_and_is_no_call(world: Exposed) -> None:
    headers = marked(probe.STREAM_PATH) | signed(STREAM)
    socket = await world.upgrade(headers)
    said = await socket.receive_json()
    assert said["event"] == "probe" and probe.is_answer([TOKEN], headers[probe.HEADER], said["answer"], time.time())
    assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await socket.close()
    await world.until_nothing_is_left()
    assert world.model.connections == 0
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await world.upgrade(headers)                 # once


async def test_where_the_signature_does_not_fit_it_is_told_which_address_was_seen(world: Exposed) -> None:
    status, answer, said = await ask(world, marked() | signed("https://other.example.com/incoming-call", FORM))
    assert (status, json.loads(said), bool(answer)) == (403, {"saw": WEBHOOK}, True)


@pytest.mark.parametrize("headers", [
    marked(token="guessed"), marked(probe.STREAM_PATH), marked(age=LIFE_S + 1), {probe.HEADER: ""},
    {probe.HEADER: PARAMETERS["call_sid"]},
], ids=["another token", "another address", "too old", "empty", "made up"])
async def test_a_strangers_is_refused_as_any_strangers_request_is(world: Exposed, headers: dict[str, str]) -> None:
    assert await ask(world, headers | signed(WEBHOOK, FORM)) == (403, "", "Twilio's signature is missing or wrong.\n")


async def test_one_that_was_overheard_counts_no_second_time(world: Exposed) -> None:
    headers = marked() | signed(WEBHOOK, FORM)
    assert (await ask(world, headers))[0] == 200
    assert (await ask(world, headers))[:2] == (403, "")


async def test_the_token_of_a_stream_is_no_probe(world: Exposed) -> None:
    parameters = await world.answered()
    assert (await ask(world, {probe.HEADER: parameters["token"]} | signed(WEBHOOK, FORM)))[0] == 403
