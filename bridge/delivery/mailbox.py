"""Takes the messages that callers leave, and has the outbox deliver them."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bridge.delivery import news
from bridge.delivery.outbox import Outbox
from bridge.meetings.message import Message
from bridge.records.messages import Messages

#: How long Twilio may take to say that a recording can be fetched, before its news goes out all the same, seconds.
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Tells `receivers` of each message."""

    messages: Messages
    outbox: Outbox
    receivers: Sequence[str]
    zone: ZoneInfo

    @property
    def is_read(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.receivers)

    async def take(self, message: Message, *, ready: bool) -> None:
        """Keeps it, once; its news goes out when it is `ready` to be fetched. Raises StoreFailed: it may come again."""
        due = message.recorded.timestamp() + (0 if ready else READY_S)
        await self.messages.keep(message, news.of_message(message, self.receivers, self.zone), due)
        if ready:
            self.outbox.wake()
