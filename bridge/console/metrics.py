"""The server's figures, in the text format of Prometheus.

1. Each application has a registry of its own.
2. A label's values are few and ours: no number, no CallSid, no word of a caller or a model.
3. The database is asked for the waiting deliveries when somebody looks. They are NaN while it does not answer.
"""

import math

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from bridge import __version__, log_queue
from bridge.call.events import (
    Answered, Closed, Connected, Event, Fault, FirstAudio, FunctionReturned, Interrupted, SessionReplaced, Spent,
    TokensUsed,
)
from bridge.records.deliveries import Depth

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# Without this, a third more series would say when each one began.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The figures of one application: seconds, whole counts and US dollars. Its methods never wait."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"bridge_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"bridge_{name}", what, labels, registry=registry)

        def seconds(name: str, what: str, *buckets: float, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"bridge_{name}_seconds", what, labels, buckets=buckets, registry=registry)

        Info("bridge", "The version that runs.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)
        self._calls = gauge("calls", "Calls under way in this process.")
        self._ended = counter("calls_ended", "Calls that are over, by the reason of their end.", "reason")
        self._rejected = counter("calls_rejected", "Calls rejected, by the setting that said so.", "reason")
        self._records_lost = counter("call_records_lost", "Records of calls that the database did not take.")
        self._recordings_lost = counter("recordings_lost", "Recordings that could not be made, or ended too early.")
        self._recordings_waiting = gauge("recordings_waiting", "Recordings that are not in their place yet.")
        self._duration = seconds("call_duration", "How long calls last.", 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
        self._first_audio = seconds(
            "first_audio", "From a stream's start to the first audio for the caller.",
            .1, .25, .5, .75, 1, 1.5, 2, 3, 5, 10)
        self._turn = seconds(
            "turn_latency", "From the end of the caller's speech to the first audio of the answer at the phone, "
            "fillers aside.",
            .2, .3, .4, .5, .6, .8, 1, 1.25, 1.5, 2, 3, 5, 10)
        self._first_sound = seconds(
            "first_sound", "From the end of the caller's speech to the first sound of any kind at the phone: a filler, "
            "a recorded sentence, or the answer.", .2, .3, .4, .5, .6, .8, 1, 1.25, 1.5, 2, 3, 5, 10)
        self._interruptions = counter("interruptions", "Answers that callers interrupted.")
        self._reconnected = seconds(
            "model_reconnect", "From the loss of a model's session to the one that takes its place.",
            .1, .25, .5, 1, 1.5, 2, 3, 5, 10, 15)
        self._faults = counter("faults", "What went wrong in calls, by kind.", "kind")
        self._tool = seconds(
            "tool", "How long the model waits for a function.", .01, .05, .1, .25, .5, 1, 2, 3, 5, 10,
            labels=("name", "status"))
        self._tokens = counter(
            "tokens", "Tokens of the model: input, cached or output; text, audio or image.", "direction", "kind")
        self._spent = counter("spent_usd", "What the model has cost, by the price table.")
        self._day_spent = gauge(
            "day_spent_usd", "What all processes have spent at the model today, counted if MAX_DAY_USD is set.")
        self._deliveries = gauge("deliveries", "Deliveries that wait (pending), and dead letters (dead).", "state")
        self._oldest = gauge("deliveries_oldest_seconds", "For how long the oldest delivery that waits has been tried.")
        self._malformed = counter("malformed_requests", "Requests of strangers that could not be read.")
        gauge("log_lines_left_out", "Log lines that could not be written.").set_function(log_queue.left_out)
        self._operator_refused = counter(
            "operator_refused", "Requests with a wrong operator's password, and those of an address that is locked "
            "out.", "reason")
        self._lag = seconds(
            "event_loop_lag", "How late the event loop does its work.",
            .002, .005, .01, .02, .05, .1, .25, .5, 1, 5)

    # ---- calls

    def hear(self, event: Event) -> None:
        """A listener to calls. It counts nothing of what is said in them."""
        match event:
            case Connected():
                self._calls.inc()
            case Closed():
                self._calls.dec()
                self._ended.labels(event.ending.value).inc()
                self._duration.observe(event.seconds)
            case FirstAudio(seconds):
                self._first_audio.observe(seconds)
            case Answered(seconds, first_sound_s):
                self._turn.observe(seconds)
                self._first_sound.observe(first_sound_s)
            case Interrupted():
                self._interruptions.inc()
            case SessionReplaced(seconds):
                self._reconnected.observe(seconds)
            case Fault(kind):
                self.fault(kind)
            case FunctionReturned(name, status, seconds):
                self._tool.labels(name, status).observe(seconds)
            case TokensUsed(counts):
                for (direction, kind), count in counts.items():
                    self._tokens.labels(direction, kind).inc(count)
            case Spent(usd):
                self._spent.inc(usd)

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def record_lost(self) -> None:
        self._records_lost.inc()

    def recording_lost(self) -> None:
        self._recordings_lost.inc()

    def recordings_wait(self, count: int) -> None:
        self._recordings_waiting.set(count)

    def fault(self, kind: str) -> None:
        self._faults.labels(kind).inc()

    # ---- the model

    def day_spent(self, usd: float) -> None:
        self._day_spent.set(usd)

    # ---- the server

    def outbox(self, depth: Depth | None, now: float) -> None:
        """Sets the figures of waiting deliveries. None: the database did not answer. `now`: seconds since 1970."""
        pending, dead, age = math.nan, math.nan, math.nan
        if depth:
            pending, dead = depth.pending, depth.dead
            age = 0.0 if depth.oldest is None else max(now - depth.oldest, 0.0)
        self._deliveries.labels("pending").set(pending)
        self._deliveries.labels("dead").set(dead)
        self._oldest.set(age)

    def malformed(self) -> None:
        self._malformed.inc()

    def operator_refused(self, reason: str) -> None:
        self._operator_refused.labels(reason).inc()

    def lag(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def render(self) -> bytes:
        """Everything, as text of CONTENT_TYPE."""
        text: bytes = prometheus_client.generate_latest(self._registry)
        return text
