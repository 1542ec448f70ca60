"""The end of a call, as those who carry it tell each other."""

from bridge.records.endings import Ending


class CallOver(Exception):
    """The call has ended, and how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending
