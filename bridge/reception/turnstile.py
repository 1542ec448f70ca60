"""One stream for each answered call: gives each webhook's answer its token, and takes each token once.

1. A token counts for its call, caller, account and way of coming (anew, or back from a transfer). Whatever of these a
   stream's `start` says otherwise, it is not let through.
2. It is taken once: by this process's memory at once, and by the database among all processes. A database that does
   not say within ANSWER_S makes nobody wait: then memory alone decides, and the log says so.
3. A webhook that Twilio repeats is answered with a token of its own; each of them counts once.
4. While the auth token is changed, tokens made with the old one count too.
Without an auth token (ALLOW_UNSIGNED) there are no tokens, and nobody is asked for one.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

from bridge.reception import token
from bridge.reception.token import Refused
from bridge.records.database import StoreFailed
from bridge.records.stream_tokens import StreamTokens
from bridge.twilio_side.media_streams import StartBody

log = logging.getLogger(__name__)

#: How long a stream's beginning waits for the database, seconds: the caller hears nothing meanwhile.
ANSWER_S = 1.0
#: How often the database is asked to forget old tokens, seconds.
SWEEP_S = 600.0


class Turnstile:
    """`auth_tokens`: the current one first. `clock` gives seconds since 1970."""

    def __init__(
        self, tokens: StreamTokens, auth_tokens: Sequence[str], clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens, self._secrets, self._clock = tokens, auth_tokens, clock
        self._taken: dict[str, int] = {}             # nonce: expiry, in the order of taking

    def mint(self, call_sid: str, account_sid: str, parameters: Mapping[str, str]) -> str:
        """For the parameters of the stream that a call is answered with; "" where nobody is asked for one."""
        if not self._secrets:
            return ""
        bound = _bound_to(call_sid, account_sid, parameters)
        return token.mint(self._secrets[0], bound, secrets.token_bytes(token.NONCE_BYTES), self._clock())

    def check(self, start: StartBody) -> token.Token | None:
        """The token that a stream shows, which counts from now on as shown here. Raises Refused; it does not wait."""
        if not self._secrets:
            return None
        now, parameters = self._clock(), start.custom_parameters
        bound = _bound_to(start.call_sid, start.account_sid, parameters)
        shown = token.read(self._secrets, parameters.get(token.PARAMETER, ""), bound, now)
        self._forget(now)
        if shown.nonce in self._taken:
            raise Refused("used token")
        self._taken[shown.nonce] = shown.expires
        return shown

    async def take(self, shown: token.Token | None, call_sid: str) -> None:
        """Takes a token that was checked, before any other process does. Raises Refused."""
        if shown is None:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                first = await self._tokens.take(shown.nonce, secrets.token_hex(8), shown.expires)
        except (TimeoutError, StoreFailed) as error:
            log.error("call %(call)s: the database did not say whether its stream's token is new, so this process "
                      "decides alone: %(reason)s",
                      {"call": call_sid, "reason": str(error) or f"no answer in {ANSWER_S:g} s"})
            return
        if not first:
            raise Refused("used token")

    def _forget(self, now: float) -> None:
        """Tokens expire in the order in which they were made, and very nearly in that of taking."""
        for nonce, expires in list(self._taken.items()):
            if now < expires:
                break
            del self._taken[nonce]

    async def run(self) -> None:
        """Has the database forget what is old, until it is cancelled."""
        while True:
            try:
                await self._tokens.sweep(self._clock())
            except StoreFailed as failure:
                log.error("old tokens of streams could not be forgotten: %(reason)s", {"reason": str(failure)})
            await asyncio.sleep(SWEEP_S)


def _bound_to(call_sid: str, account_sid: str, parameters: Mapping[str, str]) -> Sequence[str]:
    return call_sid, account_sid, *(parameters.get(name, "") for name in ("caller", "called", "resume"))
