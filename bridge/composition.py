"""Makes of the settings the small values that each part of the application takes.

Only this, app.py, introduction.py, server.py, doctor/examination.py and the commands know `Settings`. A part can so
be built, and tested, without all of them.
"""

from bridge.call.agent import Agent
from bridge.call.clips import clips
from bridge.call.consent import Notice
from bridge.call.steps import Plan
from bridge.call.timing import Timing
from bridge.meetings.schedule import Rules
from bridge.openai_side import prompt
from bridge.openai_side.connection import Account
from bridge.openai_side.prices import prices_for
from bridge.reception.policy import Policy
from bridge.records.calls import Limits
from bridge.settings import Settings
from bridge.tools.registry import Tools
from bridge.twilio_side import twiml
from bridge.twilio_side.public_url import PublicUrl
from bridge.twilio_side.rest import Credentials
from bridge.twilio_side.signature import Keys


def account(settings: Settings) -> Account:
    """The model's address, name and key."""
    return Account(settings.OPENAI_REALTIME_URL, settings.OPENAI_MODEL, settings.OPENAI_API_KEY)


def credentials(settings: Settings) -> Credentials | None:
    """The credentials for Twilio's REST API, or None if account SID or token is not set."""
    if not settings.rest_credentials:
        return None
    return Credentials(settings.TWILIO_API_URL, settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)


def signature_keys(settings: Settings) -> Keys:
    """What Twilio signs with."""
    return Keys(settings.auth_tokens, settings.shared_keys, PublicUrl(settings.PUBLIC_URL))


def agent(settings: Settings) -> Agent:
    """The assistant that answers: its words, voice and hearing."""
    return Agent(
        system_message=settings.SYSTEM_MESSAGE, voice=settings.OPENAI_VOICE, turn_detection=settings.TURN_DETECTION,
        transcription_model=settings.OPENAI_TRANSCRIPTION_MODEL, noise_reduction=settings.NOISE_REDUCTION,
        zone=settings.TIMEZONE, transfer_numbers=settings.TRANSFER_NUMBER)


def plan(settings: Settings, tools: Tools, timing: Timing) -> Plan:
    """How every call is to go. A greeting that tells or asks of the recording is heard to its end."""
    told, words = notice(settings), settings.GREETINGS_RESPONSE
    if told:
        words = " ".join(filter(None, (told.words, words) if told.how == "told" else (words, told.words)))
    return Plan(
        greeting=prompt.greeting(settings.SYSTEM_MESSAGE, words), record=told.how if told else "",
        protect_greeting=settings.PROTECT_GREETING or bool(told and told.words),
        turn_detection=settings.TURN_DETECTION, clips=clips(),
        silence_prompt_ms=settings.SILENCE_PROMPT_S * 1000, most_turn_ms=settings.MAX_TURN_S * 1000,
        most_ms=settings.MAX_CALL_S * 1000, most_usd=settings.MAX_CALL_USD,
        prices=prices_for(settings.OPENAI_MODEL, settings.OPENAI_PRICES), immediate=tools.for_call().immediate,
        operator_key=settings.OPERATOR_KEY, operator=next(iter(settings.TRANSFER_NUMBER), ""), timing=timing)


def notice(settings: Settings) -> Notice | None:
    """How callers learn that calls are recorded. None: calls are not recorded."""
    match settings.RECORD:
        case "1":
            return Notice("told", settings.RECORD_ANNOUNCEMENT)
        case "ask":
            return Notice("asked", settings.RECORD_QUESTION)
    return None


def recordings_days(settings: Settings) -> int:
    """After how many days recordings are removed, at the latest with the records of their calls. 0: never."""
    return min(filter(None, (settings.RECORDINGS_DAYS, settings.RETENTION_DAYS)), default=0)


def rules(settings: Settings) -> Rules:
    """The rules that say when meetings can be."""
    return Rules(
        zone=settings.TIMEZONE, minutes=settings.MEETING_MINUTES, opening=settings.OPENING_HOURS,
        minimum_notice=settings.MINIMUM_NOTICE, maximum_notice=settings.MAXIMUM_NOTICE,
        closed=settings.CLOSED_DAYS)


def limits(settings: Settings) -> Limits:
    """The limits on calls: in all, per caller, per hour and of hidden numbers."""
    return Limits(settings.MAX_CALLS, settings.MAX_CALLS_PER_CALLER, settings.CALLS_PER_HOUR_PER_CALLER,
                  settings.most_hidden)


def policy(settings: Settings) -> Policy:
    """How Twilio's requests are answered."""
    return Policy(
        keys=signature_keys(settings), account_sid=settings.TWILIO_ACCOUNT_SID, api=settings.TWILIO_API_URL,
        ends_by_rest=settings.rest_credentials, limits=limits(settings), blocked=settings.BLOCKED_CALLERS,
        fallback=_fallback(settings, twiml.WORDS[settings.FALLBACK]),
        used_up=_fallback(settings, twiml.NO_MORE_TODAY if settings.FALLBACK == "apology"
                          else twiml.WORDS[settings.FALLBACK]))


def _fallback(settings: Settings, words: str) -> twiml.Fallback:
    """`words` are spoken unless FALLBACK_MESSAGE has others."""
    return twiml.Fallback(
        settings.FALLBACK, settings.FALLBACK_MESSAGE or words, settings.FALLBACK_GOODBYE, settings.FALLBACK_LANGUAGE,
        settings.FALLBACK_NUMBER)
