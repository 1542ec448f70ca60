"""The turnstile lets one stream in for each answered webhook: it makes each answer's token, and takes each token once.

1. A token is bound to its call, account, caller, called number and way of coming (anew, or back from a transfer). A
   stream whose `start` message differs in any of them is refused.
2. A token is taken once, by this process's memory at once, and by the database among all processes. If the database
   does not answer within ANSWER_S, memory alone decides, and the log says so.
3. If Twilio repeats a webhook, each answer has a token of its own, and each token counts once.
4. While the auth token is changed, tokens made with the old one count too.

Without an auth token (ALLOW_UNSIGNED) there are no tokens, and no stream is asked for one.
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

#: How long a stream's beginning waits for the database (s). The caller hears nothing meanwhile.
ANSWER_S = 1.0
#: How often the database is asked to forget old tokens (s).
SWEEP_S = 600.0


class Turnstile:
    """The application's one turnstile. `auth_tokens`: Twilio's, the current one first. `clock`: seconds since 1970."""

    def __init__(
        self, tokens: StreamTokens, auth_tokens: Sequence[str], clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens, self._secrets, self._clock = tokens, auth_tokens, clock
        self._taken: dict[str, int] = {}             # nonce to expiry (s since 1970), in the order of taking

    def mint(self, call_sid: str, account_sid: str, parameters: Mapping[str, str]) -> str:
        """The token for a stream with these parameters, for the webhook's answer. "": streams are not asked for one."""
        if not self._secrets:
            return ""
        bound = _bound_to(call_sid, account_sid, parameters)
        return token.mint(self._secrets[0], bound, secrets.token_bytes(token.NONCE_BYTES), self._clock())

    def check(self, start: StartBody) -> token.Token | None:
        """Checks the token that a stream shows, and remembers it as shown in this process. Raises Refused.

        None: streams are not asked for a token. It does not wait. `take` comes next.
        """
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
        """Takes a checked token in the database. Raises Refused if another process was first."""
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
        """Forgets expired tokens. They expire in the order of making, which is very nearly the order of taking."""
        for nonce, expires in list(self._taken.items()):
            if now < expires:
                break
            del self._taken[nonce]

    async def run(self) -> None:
        """The application's task: has the database forget old tokens. Runs until it is cancelled."""
        while True:
            try:
                await self._tokens.sweep(self._clock())
            except StoreFailed as failure:
                log.error("old tokens of streams could not be forgotten: %(reason)s", {"reason": str(failure)})
            await asyncio.sleep(SWEEP_S)


def _bound_to(call_sid: str, account_sid: str, parameters: Mapping[str, str]) -> Sequence[str]:
    return call_sid, account_sid, *(parameters.get(name, "") for name in ("caller", "called", "resume"))
