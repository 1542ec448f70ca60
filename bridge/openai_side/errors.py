"""What the model's error codes mean, wherever one comes: as an `error` event, in a response that failed, or at a
session's beginning.

Pure. There is no complete list of the codes; a server may name a code, a type, or both, and either counts.
Sources: https://developers.openai.com/api/docs/guides/error-codes and /api/docs/guides/rate-limits; the Realtime
API's reference, `RealtimeError` and `RealtimeResponseStatus`.
"""

import re
from collections.abc import Iterator

#: The session has had its time: another one takes its place.
EXPIRED = "session_expired"
ALREADY_ACTIVE = "conversation_already_has_active_response"
#: Errors that two events crossing on the way can cause: nothing is wrong.
BENIGN = frozenset({
    "response_cancel_not_active", ALREADY_ACTIVE, "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id", "item_retrieve_invalid_item_id", "unsupported_content_type",
    "input_audio_buffer_commit_empty",
})
#: Too much at once: the same can be asked for again after a pause.
BACK_OFF = frozenset({"rate_limit_exceeded", "inference_rate_limit_exceeded", "rate_limit_error", "slow_down"})

_KEY = "check OPENAI_API_KEY"
_PERMISSIONS = "check OPENAI_API_KEY and its project's permissions"
_CREDIT = "the account's credit is used up: see its billing page"
_LIMIT = "the account's spending limit is reached: see its billing page"
_CLOSED = "the account of OPENAI_API_KEY is closed"
_MODEL = "check OPENAI_MODEL"

#: No session and no answer can be had, by whichever call, until somebody has done what stands here.
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
#: What else there is to say about an error.
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
    """Whether trying again is of no use, for no call and on no connection; `kind` is the error's type."""
    return code in FATAL or kind in FATAL


def advice(code: str | None, kind: str | None, otherwise: str = "it may pass") -> str:
    """What the owner can do about it, as a clause."""
    return _ADVICE.get(code or "") or _ADVICE.get(kind or "") or otherwise


def told(code: str | None, kind: str | None, message: str) -> str:
    """The error as a line of the log has it, with what to do."""
    return f"{code or kind or 'no code'}: {' '.join(message.split())} ({advice(code, kind)})"


def named_wait_s(message: str) -> float | None:
    """How long the server says to wait before the same is asked for again, seconds; None where it does not say."""
    found = _WAIT.search(message)
    spans = list(_adjacent(message, found.end())) if found else []
    return sum(spans) if spans else None


def _adjacent(message: str, position: int) -> Iterator[float]:
    """The spans of time that stand here, one behind the other, seconds."""
    while span := _SPAN.match(message, position):
        unit = span[2].lower()
        yield float(span[1]) * (0.001 if unit.startswith(("ms", "milli")) else _SECONDS[unit[0]])
        position = span.end()
