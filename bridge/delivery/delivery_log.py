"""The log lines about deliveries. The more the owner has to do, the louder they are.

A delivery that was taken is an INFO, one that is tried again a WARNING. A mistake in a receiver's set-up is an ERROR,
because the delivery waits for the owner. There is one such line a minute for each mistake, and it counts the lines left
out. A dead letter is an ERROR. So is a no, unless a call hears it and acts on it. Each ERROR names the command to type.
"""

import logging
from datetime import UTC, datetime

from yarl import URL

from bridge.delivery.answer import Answer
from bridge.delivery.retries import Dead, Decision, Delivered, RetryAt
from bridge.log import Seldom
from bridge.records.deliveries import Delivery

log = logging.getLogger(__name__)

#: How often the same mistake in a receiver's set-up is an ERROR (s). In between it is a WARNING.
LOUD_S = 60.0

_TAKEN = "%(kind)s %(id)s: %(receiver)s has taken %(delivery)s at attempt %(attempt)s"
_UNTOLD = (
    "%(receiver)s answers with a \"message\", which callers are not told. "
    "Instead they are told a \"message_to_caller\" (this is said once)")
_AGAIN = "%(kind)s %(id)s: %(receiver)s %(problem)s. %(delivery)s is tried again after attempt %(attempt)s"
_WAITS = (
    "%(KIND)s %(id)s WAITS: %(receiver)s %(problem)s. %(delivery)s is tried again at %(at)s. To send what waits as "
    "soon as that is mended, to a new WEBHOOK_URL too: python -m bridge meetings resend all (%(left_out)d more like "
    "this since the last such line)")
_SAID_NO = (
    "%(kind)s %(id)s: %(receiver)s %(problem)s at attempt %(attempt)s of %(delivery)s, which is a no. The call that "
    "waits for it is told%(hint)s")
_REFUSED = (
    "%(KIND)s %(id)s WAS NOT DELIVERED: %(receiver)s %(problem)s, which is a no that no caller has heard%(hint)s. "
    "%(delivery)s is given up after attempt %(attempt)s. To see whom to call: python -m bridge meetings show %(id)s. "
    "To send it again: python -m bridge meetings resend %(id)s")
_GIVEN_UP = (
    "%(KIND)s %(id)s WAS NOT DELIVERED: %(receiver)s %(problem)s. %(delivery)s is given up after attempt %(attempt)s. "
    "To send it again: python -m bridge meetings resend %(id)s")


class DeliveryLog:
    """Writes the lines about attempts. It remembers which mistakes it has told."""

    def __init__(self) -> None:
        #: By address and problem. There are no more than addresses in the settings times statuses.
        self._mistakes: dict[tuple[str, str], Seldom] = {}
        self._untold: set[str] = set()

    def tell(self, delivery: Delivery, answer: Answer, decision: Decision, now: float, *, heard: bool) -> None:
        """Logs what became of an attempt. `now` is seconds since 1970. `heard`: a call waits and acts on a no."""
        kind, id = delivery.about
        facts: dict[str, object] = {
            kind: id, "kind": kind, "KIND": kind.upper(), "id": id, "delivery": delivery.id,
            "receiver": host(delivery.url), "attempt": delivery.attempts, "problem": answer.problem,
            "hint": f" ({answer.advice})" if answer.advice else ""}
        match decision:
            case Delivered():
                log.info(_TAKEN, facts)
                if answer.untold and delivery.url not in self._untold:
                    self._untold.add(delivery.url)
                    log.info(_UNTOLD, facts)
            case RetryAt(at):
                left_out = self._loudly(delivery, answer, now)
                if left_out is None:
                    log.warning(_AGAIN, facts)
                else:
                    log.error(_WAITS, {**facts, "at": _moment(at), "left_out": left_out})
            case Dead(refused=True) if heard:
                log.warning(_SAID_NO, facts)
            case Dead(refused=True):
                log.error(_REFUSED, facts)
            case Dead():
                log.error(_GIVEN_UP, facts)

    def _loudly(self, delivery: Delivery, answer: Answer, now: float) -> int | None:
        """How many ERRORs like this were left out since the last one. None: this is no ERROR, or is left out too."""
        if answer.meaning != "set-up":
            return None
        return self._mistakes.setdefault((delivery.url, answer.problem), Seldom(LOUD_S)).passes(now)


def host(url: str) -> str:
    """The host of a receiver's address, which the log may tell. The rest of the address can hold a secret."""
    try:
        return URL(url).host or "?"
    except ValueError:
        return "?"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
