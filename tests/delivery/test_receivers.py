"""Who a delivery is handed to: its address's scheme says that, and all else is the same for every kind of receiver."""

import logging
import re
from dataclasses import dataclass, field, replace

import pytest

from bridge.delivery.answer import Answer
from bridge.delivery.outbox import LEASE_S
from bridge.delivery.receivers import ByScheme, scheme_of
from bridge.delivery.webhook import SCHEMES, Webhook
from bridge.records.deliveries import Delivery
from bridge.setting_values import addresses
from tests.delivery.test_webhook import DELIVERY
from tests.stage.outbox import Receiver, World, running


@dataclass
class Letters:
    """A receiver of another kind: what it was handed, and what it answers, in order; then it takes all."""

    answers: list[Answer] = field(default_factory=list)
    handed: list[str] = field(default_factory=list)

    async def hand_over(self, delivery: Delivery) -> Answer:
        self.handed.append(delivery.id)
        return self.answers.pop(0) if self.answers else Answer("taken")


@pytest.mark.parametrize(("url", "scheme"), [
    ("https://host/path:x", "https"), ("HTTP://host", "http"), ("mailto:ada@b.example", "mailto"), ("sms:+88", "sms"),
    ("host/path", ""), ("host.example/a:b", ""), ("", ""), (":", ""), ("http://[::1/", "http"), ("1x:y", "")])
def test_the_scheme_is_what_an_address_begins_with(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


async def test_the_scheme_says_who_is_handed_a_delivery() -> None:
    post, mail = Letters(), Letters()
    served = ByScheme({"https": post, "mailto": mail})
    for url in ("https://one.example/", "mailto:ada@b.example", "HTTPS://two.example/"):
        assert await served.hand_over(replace(DELIVERY, id=url, url=url)) == Answer("taken")
    assert (post.handed, mail.handed) == (["https://one.example/", "HTTPS://two.example/"], ["mailto:ada@b.example"])


@pytest.mark.parametrize("url", ["carrier-pigeon:secret", "secret/path"])
async def test_an_address_that_nobody_serves_is_the_owner_s_to_mend(url: str) -> None:
    answer = await ByScheme({"https": Letters()}).hand_over(replace(DELIVERY, url=url))
    assert answer.meaning == "set-up" and "which nothing here delivers to" in answer.problem
    assert "secret" not in answer.problem


@pytest.mark.parametrize("url", ["mailto:ada@b.example", "sms:+8801711111111", "gcal:primary", "ftp://host/", "host/"])
def test_an_address_that_nobody_serves_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must begin with https:// \(http:// on this machine only\)$"):
        addresses(f"https://one.example/hook,{url}")


def test_what_the_settings_let_in_is_served() -> None:
    assert {*map(scheme_of, addresses("https://one.example/, http://localhost:1/, HTTPS://two.example/"))} == {*SCHEMES}


# ---- durable, whatever the kind

async def test_a_receiver_of_another_kind_is_as_durable_as_a_webhook(
    world: World, receiver: Receiver,  # noqa: F811
) -> None:
    mail = Letters([Answer("later", problem="has a full mailbox", wait_s=600), Answer("set-up", problem="is unknown")])
    posted, mailed = await world.promise(receiver.url(), "mailto:ada@b.example")
    async with running(world.outbox(receiver=ByScheme({"http": Webhook(world.http), "mailto": mail}))) as outbox:
        await world.passes(599, outbox)
        assert mail.handed == [mailed], "it asked for ten minutes"
        assert (await world.one(mailed)).last_error == "has a full mailbox"
        await world.passes(3600, outbox)
    assert mail.handed == [mailed] * 3 and receiver.ids == {"hook": [posted]}
    assert [(await world.one(each)).state for each in (posted, mailed)] == ["delivered"] * 2


async def test_its_no_is_a_no_and_is_written_down_as_one(
    world: World, caplog: pytest.LogCaptureFixture,  # noqa: F811
) -> None:
    mail = Letters([Answer("no", "We are closed.", "bounced for good", "the mailbox may have moved")])
    [mailed] = await world.promise("mailto:ada@b.example")
    async with running(world.outbox(receiver=ByScheme({"mailto": mail}))) as outbox:
        await world.passes(60, outbox)
    delivery = await world.one(mailed)
    assert (delivery.state, delivery.refused, delivery.answer) == ("dead", True, "We are closed.")
    [line] = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert "bounced for good, which is a no that no caller has heard (the mailbox may have moved)" in line
    assert "ada@" not in line


async def test_what_was_promised_to_a_kind_that_is_no_more_waits_for_its_owner(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,  # noqa: F811
) -> None:
    [promised] = await world.promise("mailto:ada@b.example")
    async with running(world.outbox(receiver=ByScheme({"http": Webhook(world.http)}))) as outbox:
        await world.passes(3600, outbox)
        assert (await world.one(promised)).state == "pending"
        assert re.search(r"MEETING \S+ WAITS: .* its address begins with mailto:, .*meetings resend all", caplog.text)
        await world.queue.revive(None, world.now, lease_s=LEASE_S, receivers=[receiver.url()])
        outbox.wake()
        await world.passes(1, outbox)
    assert await world.state(promised) == "delivered" and receiver.ids == {"hook": [promised]}
