"""The pages for monitors and load balancers: does the process live, may it get calls, and how is it doing?

Anybody may ask the first two, and gets a word. The reasons and all figures are for the operator.
"""

import asyncio
import time

from aiohttp import web
from sqlalchemy import select

from bridge import keys
from bridge.console import metrics
from bridge.loop.stopping import Stopping
from bridge.openai_side.breaker import Breaker
from bridge.records.database import Database, StoreFailed
from bridge.records.deliveries import DeliveryQueue

#: How long a check or a query for a figure may take, in seconds.
CHECK_S = 1.0


async def healthz(request: web.Request) -> web.Response:
    """200 while the process answers at all, for a liveness probe. A restart would help with nothing else."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 if calls may come, else 503, for a readiness probe. With the operator's password it names every reason."""
    access = request.app[keys.ACCESS]
    if told := access.is_on and "Authorization" in request.headers:
        await access.require(request)
    reasons = await reasons_against(request.app[keys.CHECKS])
    answer: dict[str, bool | list[str]] = {"ready": not reasons}
    return web.json_response(
        answer | {"reasons": reasons} if told else answer, status=503 if reasons else 200)


async def reasons_against(checks: dict[str, keys.Check]) -> list[str]:
    """Asks all checks at once, and returns why calls should not come: a line for each failed one."""
    found = await asyncio.gather(*(_asked(check) for check in checks.values()))
    return [f"{name}: {reason}" for name, reason in zip(checks, found) if reason]


async def _asked(check: keys.Check) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"


async def database_answers(database: Database) -> str:
    try:
        await database.read(lambda connection: connection.scalar(select(1)))
    except StoreFailed as failure:
        return str(failure)
    return "its file is damaged" if database.check and database.check.found else ""


async def model_in_reach(breaker: Breaker) -> str:
    return "out of reach" if breaker.open else ""


async def not_stopping(stopping: Stopping) -> str:
    return "stopping, and new calls go elsewhere" if stopping.draining else ""


async def show_metrics(request: web.Request) -> web.Response:
    """Every figure, in the format of Prometheus, for the operator."""
    await request.app[keys.ACCESS].require(request)
    figures, depth = request.app[keys.METRICS], None
    try:
        async with asyncio.timeout(CHECK_S):
            depth = await DeliveryQueue(request.app[keys.DATABASE]).depth()
    except (TimeoutError, StoreFailed):
        pass                                         # the figures are NaN, and /readyz says why
    figures.outbox(depth, time.time())
    figures.day_spent(request.app[keys.BUDGET].today_usd)
    return web.Response(body=figures.render(), headers={"Content-Type": metrics.CONTENT_TYPE})
