"""The mailbox: keeps the messages that callers leave, and has the outbox deliver them."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from bridge.delivery import news
from bridge.delivery.outbox import Outbox
from bridge.meetings.message import Message
from bridge.records.messages import Messages

#: How long to wait for Twilio to say that a recording can be fetched (s). Then its news goes out all the same.
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Keeps each message with a delivery for each of `receivers`, which are addresses."""

    messages: Messages
    outbox: Outbox
    receivers: Sequence[str]
    zone: ZoneInfo

    @property
    def is_read(self) -> bool:
        """Whether there is any receiver. Without one a message is not kept here."""
        return bool(self.receivers)

    async def take(self, message: Message, *, ready: bool) -> None:
        """Keeps a message, once. Its news goes out when the recording is `ready` to be fetched, or READY_S later.

        Raises StoreFailed. Twilio may then report the message again.
        """
        due = message.recorded.timestamp() + (0 if ready else READY_S)
        await self.messages.keep(message, news.of_message(message, self.receivers, self.zone), due)
        if ready:
            self.outbox.wake()
