"""What must have happened by when. Pure; times are ms on the clock of the dialogue.

1. A state of the call that waits has a bound, so that none waits for ever.
2. Each bound has one owner: the part that asked for its name sets and clears it.
3. A bound that is due is cleared as it is taken, and its name says what was waited for in vain.
"""

#: A timer may fire this much early, ms.
TIMER_MS = 1
#: How long what is to be heard whole, something protected or a goodbye, may take to begin, ms.
BEGIN_MS = 10_000


class Bounds:
    """The bounds of one call. The event loop's one timer of the call goes by `soonest`."""

    __slots__ = ("soonest", "_at", "_names")

    def __init__(self) -> None:
        self.soonest: float | None = None            # when `due` wants to be asked
        self._at: dict[str, float] = {}
        self._names: set[str] = set()

    def own(self, name: str) -> "Bound":
        """A bound of this name for the part that asks. Raises ValueError where another part owns it."""
        if name in self._names:
            raise ValueError(f"the bound {name!r} has an owner")
        self._names.add(name)
        return Bound(self, name)

    def __contains__(self, name: str) -> bool:
        """Whether something is waited for under this name."""
        return name in self._at

    def due(self, now: float) -> str | None:
        """The bound that is reached, or None where what it waited for has happened, or was put off, just before."""
        name = min(self._at, key=self._at.__getitem__, default=None)
        if name is None or self._at[name] > now + TIMER_MS:
            return None
        self._clear(name)
        return name

    def clear(self) -> None:
        """Nothing is waited for any more."""
        self._at.clear()
        self.soonest = None

    def _set(self, name: str, at: float) -> None:
        self._at[name] = at
        self.soonest = min(self._at.values())

    def _clear(self, name: str) -> None:
        if self._at.pop(name, None) is not None:
            self.soonest = min(self._at.values(), default=None)


class Bound:
    """One bound, in the hands of its owner."""

    __slots__ = ("_all", "_name")

    def __init__(self, bounds: Bounds, name: str) -> None:
        self._all, self._name = bounds, name

    @property
    def is_set(self) -> bool:
        return self._name in self._all

    def set(self, at: float) -> None:
        """It is due at that time, whatever it was before."""
        self._all._set(self._name, at)

    def begin(self, at: float) -> None:
        """It is due at that time, unless it is set already."""
        if not self.is_set:
            self.set(at)

    def sooner(self, at: float) -> None:
        """It is due at that time at the latest."""
        self.set(min(at, self._all._at.get(self._name, at)))

    def clear(self) -> None:
        """What it waited for has happened."""
        self._all._clear(self._name)
