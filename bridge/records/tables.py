"""The tables as they are now. `migrations` holds the way to them.

Moments are seconds since 1970 in UTC, so that they mean the same in both databases. A meeting's start and end are whole
seconds. Other moments may have fractions.
"""

from sqlalchemy import (
    BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text, text,
)

metadata = MetaData()

meetings = Table(
    "meetings", metadata,
    Column("id", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("phone_number", Text, nullable=False),
    Column("start_at", BigInteger, nullable=False),
    Column("end_at", BigInteger, nullable=False),
    Column("zone", Text, nullable=False),
    Column("read_back", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
)
Index("meetings_start", meetings.c.start_at, meetings.c.id)
_BOOKED = text("status = 'booked'")
Index("meetings_caller_start", meetings.c.caller, meetings.c.start_at, unique=True,
      sqlite_where=_BOOKED, postgresql_where=_BOOKED)

#: One row for each taken minute, numbered since 1970. The primary key refuses a double booking.
slots = Table(
    "slots", metadata,
    Column("minute", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("meeting_id", Text, ForeignKey("meetings.id"), nullable=False),
)

#: Messages that callers left to be recorded. `id` is Twilio's RecordingSid.
messages = Table(
    "messages", metadata,
    Column("id", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("recording_url", Text, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("recorded_at", Double, nullable=False),
)
Index("messages_recorded", messages.c.recorded_at, messages.c.id)

#: Each delivery is the news of one thing, which has a kind and an id: a meeting or a message. There is no foreign key,
#: because the thing may be in any table. News is written in the transaction of the thing itself, and a thing is locked
#: before it is removed (erasure.py). `refused`: the delivery is dead because its receiver said no.
deliveries = Table(
    "deliveries", metadata,
    Column("id", Text, primary_key=True),
    Column("about_kind", Text, nullable=False),
    Column("about_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("since", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("refused", Boolean, nullable=False),
)
Index("deliveries_due", deliveries.c.state, deliveries.c.next_at)
Index("deliveries_about", deliveries.c.about_id)

#: `process` carries the call's stream. "": the stream is awaited. `ended_at` and `reason` are those of its last stream.
calls = Table(
    "calls", metadata,
    Column("call_sid", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("admitted_at", Double, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("ended_at", Double),
    Column("reason", Text, nullable=False),
    Column("history", Text, nullable=False),
)
Index("calls_lease", calls.c.lease_until)
Index("calls_caller", calls.c.caller, calls.c.admitted_at)

#: Tokens that streams have shown, so that none is taken twice. `taken_by` is the name of the attempt that took it.
stream_tokens = Table(
    "stream_tokens", metadata,
    Column("nonce", Text, primary_key=True),
    Column("taken_by", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
)
Index("stream_tokens_expires", stream_tokens.c.expires_at)

#: The cost of the model in US dollars, by the business's day, such as 2026-11-28.
spending = Table(
    "spending", metadata,
    Column("day", Text, primary_key=True),
    Column("usd", Double, nullable=False),
)

#: What was said and heard in each call, and its figures: call_record.py says what each column is. `seen_at`: when it
#: was last written. `reported`: the owner was told of its end, or nobody is.
call_records = Table(
    "call_records", metadata,
    Column("call_sid", Text, primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("caller", Text, nullable=False),
    Column("called", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("answered_by", Text, nullable=False),
    Column("test", Boolean, nullable=False),
    Column("process", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("ending", Text, nullable=False),
    Column("first_audio_ms", Integer),
    Column("turns", Integer, nullable=False),
    Column("interruptions", Integer, nullable=False),
    Column("sessions", Integer, nullable=False),
    Column("answer_p50_ms", Integer),
    Column("answer_max_ms", Integer),
    Column("silence_ms", Integer),
    Column("usd", Double, nullable=False),
    Column("tokens", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("voice", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("levels", LargeBinary),
    Column("reported", Boolean, nullable=False),
)
Index("call_records_started", call_records.c.started_at, call_records.c.call_sid)
for _column in ("caller", "agent", "ending"):
    Index(f"call_records_{_column}", call_records.c[_column], call_records.c.started_at)

call_turns = Table(
    "call_turns", metadata,
    Column("call_sid", Text, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("by", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("position", Double, nullable=False),
    Column("text", Text, nullable=False),
    Column("heard", Integer),
    Column("heard_ms", Integer),
    Column("sent_ms", Integer),
    Column("first_ms", Integer),
    Column("answer_ms", Integer),
    Column("silence_ms", Integer),
    Column("data", Text, nullable=False),
)
