"""What each part is told of the settings, where that is more than to pass it on."""

import pytest

from bridge import composition
from bridge.call.timing import Timing
from bridge.tools.registry import Tools
from bridge.twilio_side import twiml
from tests.stage.settings import make_settings

ACCOUNT = "AC" + "0" * 32
SECRETS = {"OPENAI_API_KEY": "sk-mine", "TWILIO_AUTH_TOKEN": "the-token", "TWILIO_AUTH_TOKEN_OLD": "the-old-token",
           "TWILIO_SHARED_KEYS": "key_1=the-secret-of-the-key"}


def test_no_part_shows_a_secret_where_it_is_printed() -> None:
    settings = make_settings(TWILIO_ACCOUNT_SID=ACCOUNT, **SECRETS)
    shown = repr([build(settings) for build in (
        composition.account, composition.credentials, composition.signature_keys, composition.policy)])
    assert ACCOUNT in shown
    assert not [secret for secret in SECRETS.values() if secret.rpartition("=")[2] in shown]


def test_calls_end_by_rest_only_where_that_can_be_asked() -> None:
    without, with_it = make_settings(TWILIO_AUTH_TOKEN="t"), make_settings(
        TWILIO_AUTH_TOKEN="t", TWILIO_ACCOUNT_SID=ACCOUNT)
    assert composition.credentials(without) is None and not composition.policy(without).ends_by_rest
    assert composition.credentials(with_it) is not None and composition.policy(with_it).ends_by_rest


def test_without_a_token_nothing_is_signed() -> None:
    assert not composition.signature_keys(make_settings())
    assert composition.signature_keys(make_settings(TWILIO_AUTH_TOKEN="t"))


@pytest.mark.parametrize(("environ", "words", "used_up"), [
    ({}, twiml.APOLOGY, twiml.NO_MORE_TODAY),
    ({"FALLBACK_MESSAGE": "Call my mobile."}, "Call my mobile.", "Call my mobile."),
    ({"FALLBACK": "human", "FALLBACK_NUMBER": "+15551234567"}, twiml.WORDS["human"], twiml.WORDS["human"]),
])
def test_what_a_caller_hears_when_the_money_is_used_up(environ: dict[str, str], words: str, used_up: str) -> None:
    policy = composition.policy(make_settings(**environ))
    assert (policy.fallback.words, policy.used_up.words) == (words, used_up)


def test_a_refusal_finds_the_limit_that_it_names() -> None:
    limits = composition.limits(make_settings(
        MAX_CALLS="9", MAX_CALLS_PER_CALLER="1", CALLS_PER_HOUR_PER_CALLER="5", MAX_CALLS_HIDDEN="3"))
    for refused, value in (
        (limits.refusal("", 9, 0, 0), 9), (limits.refusal("+1", 0, 1, 0), 1), (limits.refusal("+1", 0, 0, 5), 5),
        (limits.refusal("", 3, 3, 0), 3),
    ):
        assert refused is not None and limits.value(refused) == value


@pytest.mark.parametrize(("environ", "words", "how", "protected"), [
    ({}, "Hello!", "", False),
    ({"RECORD": "1"}, "This call is recorded. Hello!", "told", True),
    ({"RECORD": "1", "RECORD_ANNOUNCEMENT": "On tape."}, "On tape. Hello!", "told", True),
    ({"RECORD": "1", "RECORD_ANNOUNCEMENT": ""}, "Hello!", "told", False),
    ({"RECORD": "ask", "RECORD_QUESTION": "May I?"}, "Hello! May I?", "asked", True),
])
def test_the_greeting_tells_or_asks_of_the_recording_and_is_heard_to_its_end(
    environ: dict[str, str], words: str, how: str, protected: bool,
) -> None:
    settings = make_settings(GREETINGS_RESPONSE="Hello!", PROTECT_GREETING="0", **environ)
    plan = composition.plan(settings, Tools(), Timing())
    assert plan.greeting.endswith(f"\n\n{words}")
    assert (plan.record, plan.protect_greeting) == (how, protected)


@pytest.mark.parametrize(("recordings", "retention", "days"), [
    ("", "0", 0), ("", "90", 90), ("30", "0", 30), ("30", "90", 30), ("120", "90", 90), ("0", "90", 90)])
def test_a_recording_is_kept_as_long_as_its_record_at_most(recordings: str, retention: str, days: int) -> None:
    settings = make_settings(RECORDINGS_DAYS=recordings, RETENTION_DAYS=retention)
    assert composition.recordings_days(settings) == days


def test_the_keys_of_an_object_store_are_secret() -> None:
    keys = "access_key_id=me,secret_access_key=very-secret"
    settings = make_settings(RECORDINGS="s3://bucket", RECORDINGS_STORE=keys)
    assert "very-secret" in settings.secrets and "very-secret" not in repr(settings)
    assert "very-secret" not in repr(settings.RECORDINGS_STORE)
