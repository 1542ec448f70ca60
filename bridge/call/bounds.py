"""Bounds: the latest moment at which something must have happened.

Pure. Times are ms on the clock of the dialogue.

1. Every state of the call that waits has a bound, so that no state waits for ever.
2. Each bound has one owner: the part that asked for its name sets and clears it.
3. `due` clears the bound that it returns. The name of the bound says what was waited for in vain.
"""

#: How early a timer may fire (ms).
TIMER_MS = 1
#: How long protected speech or a goodbye may take to begin (ms). Both are to be heard whole.
BEGIN_MS = 10_000


class Bounds:
    """The bounds of one call. The call has one timer on the event loop, which is set to `soonest`."""

    __slots__ = ("soonest", "_at", "_names")

    def __init__(self) -> None:
        self.soonest: float | None = None            # when to call `due` (ms). None: no bound is set
        self._at: dict[str, float] = {}
        self._names: set[str] = set()

    def own(self, name: str) -> "Bound":
        """A bound of this name for the part that asks. Raises ValueError if the name has an owner already."""
        if name in self._names:
            raise ValueError(f"the bound {name!r} has an owner")
        self._names.add(name)
        return Bound(self, name)

    def __contains__(self, name: str) -> bool:
        """Whether the bound of this name is set."""
        return name in self._at

    def due(self, now: float) -> str | None:
        """Clears the earliest bound that is reached, and returns its name.

        None: no bound is reached. The awaited thing happened, or was put off, just before the timer fired.
        """
        name = min(self._at, key=self._at.__getitem__, default=None)
        if name is None or self._at[name] > now + TIMER_MS:
            return None
        self._clear(name)
        return name

    def clear(self) -> None:
        """Clears every bound."""
        self._at.clear()
        self.soonest = None

    def _set(self, name: str, at: float) -> None:
        self._at[name] = at
        self.soonest = min(self._at.values())

    def _clear(self, name: str) -> None:
        if self._at.pop(name, None) is not None:
            self.soonest = min(self._at.values(), default=None)


class Bound:
    """One bound, as its owner holds it. Times are ms."""

    __slots__ = ("_all", "_name")

    def __init__(self, bounds: Bounds, name: str) -> None:
        self._all, self._name = bounds, name

    @property
    def is_set(self) -> bool:
        return self._name in self._all

    def set(self, at: float) -> None:
        """Makes it due at that time, whatever it was before."""
        self._all._set(self._name, at)

    def begin(self, at: float) -> None:
        """Makes it due at that time, unless it is set already."""
        if not self.is_set:
            self.set(at)

    def sooner(self, at: float) -> None:
        """Makes it due at that time at the latest."""
        self.set(min(at, self._all._at.get(self._name, at)))

    def clear(self) -> None:
        """The awaited thing has happened."""
        self._all._clear(self._name)
