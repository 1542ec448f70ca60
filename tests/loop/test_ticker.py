"""One clock for many: each is called once in its time, and nobody keeps the others from it."""

import asyncio
from collections import Counter

import pytest

from bridge.loop.ticker import TURNS, Ticker


async def test_each_is_called_once_in_a_round_and_not_all_at_once() -> None:
    ticker, called = Ticker(0.01), Counter[int]()
    rounds: asyncio.Queue[int] = asyncio.Queue()

    def look(number: int) -> None:
        called[number] += 1
        rounds.put_nowait(number)
    looks = [lambda number=number: look(number) for number in range(3 * TURNS)]
    for each in looks:
        ticker.add(each)
    order = [await rounds.get() for _ in range(2 * len(looks))]
    assert Counter(order) == dict.fromkeys(range(len(looks)), 2)
    assert order[:len(looks)] == order[len(looks):]
    for each in looks:
        ticker.remove(each)


async def test_who_is_removed_is_not_called_and_may_be_removed_again() -> None:
    ticker, called = Ticker(0.005), list[str]()

    def first() -> None:
        called.append("first")
        ticker.remove(first)
    over = asyncio.Event()
    ticker.add(first)
    ticker.add(over.set)
    await over.wait()
    over.clear()
    await over.wait()
    ticker.remove(first)
    ticker.remove(over.set)
    assert called == ["first"]


async def test_who_raises_does_not_stop_the_clock() -> None:
    loop, problems, over = asyncio.get_running_loop(), list[object](), asyncio.Event()
    loop.set_exception_handler(lambda loop, context: problems.append(context.get("exception")))
    ticker = Ticker(0.005)

    def broken() -> None:
        raise ValueError
    ticker.add(broken)
    ticker.add(over.set)
    for _ in range(2):
        await over.wait()
        over.clear()
    ticker.remove(broken)
    ticker.remove(over.set)
    assert problems and all(isinstance(each, ValueError) for each in problems)


@pytest.mark.parametrize("again", [False, True])
async def test_with_nobody_to_call_it_rests(again: bool) -> None:
    ticker, over = Ticker(0.005), asyncio.Event()
    for _ in range(2 if again else 1):
        ticker.add(over.set)
        await over.wait()
        over.clear()
        ticker.remove(over.set)
    while ticker._timer is not None:
        await asyncio.sleep(0.001)
