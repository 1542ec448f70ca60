"""The meaning of the model's error codes, in an `error` event, in a failed response, or at a session's beginning.

Pure. There is no complete list of the codes. A server may name a code, a type, or both. Either counts.
Sources: https://developers.openai.com/api/docs/guides/error-codes and /api/docs/guides/rate-limits, and in the Realtime
API's reference `RealtimeError` and `RealtimeResponseStatus`.
"""

import re
from collections.abc import Iterator

#: The session's time is over. A new one can be had.
EXPIRED = "session_expired"
ALREADY_ACTIVE = "conversation_already_has_active_response"
#: Errors that come when two events cross on the way. Nothing is wrong.
BENIGN = frozenset({
    "response_cancel_not_active", ALREADY_ACTIVE, "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id", "item_retrieve_invalid_item_id", "unsupported_content_type",
    "input_audio_buffer_commit_empty",
})
#: Too much at once. The same request may work after a pause.
BACK_OFF = frozenset({"rate_limit_exceeded", "inference_rate_limit_exceeded", "rate_limit_error", "slow_down"})

_KEY = "check OPENAI_API_KEY"
_PERMISSIONS = "check OPENAI_API_KEY and its project's permissions"
_CREDIT = "the account's credit is used up: see its billing page"
_LIMIT = "the account's spending limit is reached: see its billing page"
_CLOSED = "the account of OPENAI_API_KEY is closed"
_MODEL = "check OPENAI_MODEL"

#: Errors that every call meets, until the owner has done what stands here.
FATAL = {
    "invalid_api_key": _KEY,
    "incorrect_api_key": _KEY,
    "expired_api_key": _KEY,
    "api_key_deactivated": _KEY,
    "deactivated_api_key": _KEY,
    "invalid_authentication": _KEY,
    "authentication_error": _KEY,
    "invalid_organization": _KEY,
    "mismatched_organization": _KEY,
    "mismatched_project": _KEY,
    "permission_denied": _PERMISSIONS,
    "permission_error": _PERMISSIONS,
    "insufficient_permissions": _PERMISSIONS,
    "ip_not_authorized": _PERMISSIONS,
    "account_deactivated": _CLOSED,
    "organization_deactivated": _CLOSED,
    "access_terminated": _CLOSED,
    "project_archived": "the project of OPENAI_API_KEY is closed",
    "billing_not_active": "the account is not active: see its billing page",
    "insufficient_quota": _CREDIT,
    "credit_balance_exhausted": _CREDIT,
    "quota_exceeded": _CREDIT,
    "billing_hard_limit_reached": _LIMIT,
    "spend_limit_reached": _LIMIT,
    "model_not_found": _MODEL,
    "invalid_model": _MODEL,
    "model_not_available": _MODEL,
    "beta_api_shape_disabled": "check OPENAI_REALTIME_URL: the beta is switched off",
    "unsupported_country_region_territory": "OpenAI does not serve the country of this server",
}
#: Advice for all errors, the others too.
_ADVICE = FATAL | dict.fromkeys(BACK_OFF, "too much at once for this account: see its limits page") | {
    EXPIRED: "a new session may work",
    "server_error": "the model's own trouble: see its status page",
    "invalid_request_error": "check OPENAI_MODEL, OPENAI_VOICE and the other settings of the model",
}

#: "Please try again in 6.2s", "in 250ms", "in 1m12.5s", "in 2h0m0s"; "Please retry after 3 seconds".
_WAIT = re.compile(r"\b(?:try again|retry)\s+(?:in|after)\s+", re.IGNORECASE)
_SPAN = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?|d|days?)(?![a-z])\s*",
    re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def is_fatal(code: str | None, kind: str | None) -> bool:
    """Whether trying again is of no use, for any call and on any connection. `kind` is the error's type."""
    return code in FATAL or kind in FATAL


def advice(code: str | None, kind: str | None, otherwise: str = "it may pass") -> str:
    """What the owner can do about it, as a clause."""
    return _ADVICE.get(code or "") or _ADVICE.get(kind or "") or otherwise


def told(code: str | None, kind: str | None, message: str) -> str:
    """The error for a line in the log, with the advice."""
    return f"{code or kind or 'no code'}: {' '.join(message.split())} ({advice(code, kind)})"


def named_wait_s(message: str) -> float | None:
    """How long the server's message says to wait before another try (s). None: it does not say."""
    found = _WAIT.search(message)
    spans = list(_adjacent(message, found.end())) if found else []
    return sum(spans) if spans else None


def _adjacent(message: str, position: int) -> Iterator[float]:
    """The spans of time that follow each other from this position on, such as "1m12.5s" (s)."""
    while span := _SPAN.match(message, position):
        unit = span[2].lower()
        yield float(span[1]) * (0.001 if unit.startswith(("ms", "milli")) else _SECONDS[unit[0]])
        position = span.end()
