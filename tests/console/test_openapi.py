"""The OpenAPI document is true: it names the routes there are, and the server answers whatever is asked as it says."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from multidict import MultiDict
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance)
from twilio.request_validator import RequestValidator

from bridge.app import create_app
from bridge.console import access
from bridge.console import openapi
from bridge.reception import admission
from bridge.sim.demo import serving
from tests.stage.settings import make_settings

PASSWORD, TOKEN = "the operator's password", "token"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]


def test_the_document_names_the_routes_that_there_are() -> None:
    routes: dict[str, set[str]] = {}
    for route in create_app(make_settings()).router.routes():
        assert route.resource
        routes.setdefault(route.resource.canonical, set()).add(route.method.lower())
    assert {path: set(described) | {"head"} for path, described in openapi.PATHS.items()} == {
        path: methods | {"head"} for path, methods in routes.items()}


async def test_it_is_served(sqlite_url: str) -> None:
    async with serving(create_app(make_settings(DATABASE_URL=sqlite_url))) as origin, aiohttp.ClientSession() as http:
        async with http.get(f"{origin}/openapi.json") as answer:
            assert await answer.json() == openapi.DOCUMENT


# ---- whatever is asked

@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a thread of its own: schemathesis asks from this one."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    started, over = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        app = create_app(make_settings(
            DATABASE_URL=f"sqlite:///{folder}/bridge.db", TWILIO_AUTH_TOKEN=TOKEN, ADMIN_PASSWORD=PASSWORD,
            CALLS_PER_HOUR_PER_CALLER="0", MAX_CALLS="100000", MAX_CALLS_PER_CALLER="0"))
        async with serving(app) as origin:
            found.append(origin)
            started.set()
            await asyncio.to_thread(over.wait)
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(admission, "ENDING_S", 0.01)     # nobody writes down the end of a call that never was
        patched.setattr(access, "GUESSES", 1_000_000)
        thread.start()
        assert started.wait(20)
        yield found[0]
        over.set()
        thread.join()


schema = schemathesis.openapi.from_dict(openapi.DOCUMENT)
# A stream is asked for by an upgrade, which these requests are not.
asked = schema.exclude(path="/media-stream/{number}")


def ask(case: Any, origin: str, *, known: bool) -> None:
    """As a stranger, or as one who has the operator's password and Twilio's token."""
    headers = {"Authorization": f"Bearer {PASSWORD}"} if known else {"Authorization": "Bearer " + "x" * 12}
    headers["X-Forwarded-For"] = "203.0.113.7"
    request = case.as_transport_kwargs(base_url=origin)
    if known and case.path in WEBHOOKS:
        headers["X-Twilio-Signature"] = signature(request)
    answer = requests.request(**request | {"headers": {**request["headers"], **headers}}, timeout=20)
    case.validate_response(answer, checks=CHECKS)
    if known:
        assert answer.status_code not in (401, 403)
    elif case.path not in OPEN:
        assert answer.status_code in (400, 401, 403, 405, 413)


OPEN = {"/", "/healthz", "/meeting.schema.json", "/message.schema.json", "/call.schema.json", "/openapi.json"}
WEBHOOKS = {"/incoming-call", "/after-stream", "/transfer-ended", "/message-recorded", "/call-status"}


def signature(request: dict[str, Any]) -> str:
    """Twilio's, for the request as it goes over the line."""
    sent = requests.Request(**{name: request.get(name) for name in ("method", "url", "params", "data")}).prepare()
    body = sent.body or ""
    assert isinstance(body, str | bytes)
    form = MultiDict(parse_qsl(body if isinstance(body, str) else body.decode(), keep_blank_values=True))
    return str(RequestValidator(TOKEN).compute_signature(sent.url, form))


BOUNDED = settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.generate],
                   suppress_health_check=list(HealthCheck))


@asked.parametrize()
@BOUNDED
def test_a_stranger_is_answered_as_the_document_says(case: Any, origin: str) -> None:
    ask(case, origin, known=False)


@asked.parametrize()
@BOUNDED
def test_who_is_known_is_answered_as_the_document_says(case: Any, origin: str) -> None:
    ask(case, origin, known=True)


@pytest.mark.slow
@asked.parametrize()
@settings(BOUNDED, max_examples=150)
def test_a_stranger_is_answered_as_the_document_says_for_long(case: Any, origin: str) -> None:
    ask(case, origin, known=False)


@pytest.mark.slow
@asked.parametrize()
@settings(BOUNDED, max_examples=150)
def test_who_is_known_is_answered_as_the_document_says_for_long(case: Any, origin: str) -> None:
    ask(case, origin, known=True)
