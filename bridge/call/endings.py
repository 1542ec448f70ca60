"""How calls ended, as far as this process knows: what Twilio is told when it asks what follows a stream."""

from collections import OrderedDict

#: So many calls are remembered; Twilio asks within a second.
REMEMBERED = 1000

#: Endings after which nothing is owed to the caller any more.
IN_ORDER = frozenset({"assistant ended", "caller hung up", "server stopping"})


class Endings:
    """The last calls that ended here."""

    def __init__(self) -> None:
        self._reasons: OrderedDict[str, str] = OrderedDict()

    def closed(self, call_sid: str, reason: str) -> None:
        """Told before a call's stream is closed: Twilio may ask at the same moment."""
        self._reasons[call_sid] = reason
        self._reasons.move_to_end(call_sid)
        if len(self._reasons) > REMEMBERED:
            self._reasons.popitem(last=False)

    async def ended_in_order(self, call_sid: str) -> bool | None:
        """None for a call that did not end here: its process may have died."""
        reason = self._reasons.get(call_sid)
        return None if reason is None else reason in IN_ORDER
