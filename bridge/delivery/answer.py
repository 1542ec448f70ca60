"""A receiver's answer to an attempt, in words that fit every kind of receiver.

Pure. A receiver translates its own protocol into an `Answer`, as statuses.py does with HTTP's statuses. The retries,
the database and the log look at the meaning only, and know no protocol.
"""

from dataclasses import dataclass
from typing import Literal

#: "taken": the receiver has the news. "no": it refuses on purpose and for good. "set-up": something is set up wrongly.
#: It does not pass by itself, and the owner can mend it. "later": the receiver may take the news later.
Meaning = Literal["taken", "no", "set-up", "later"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A receiver's answer to one attempt.

    `message`: its words for the caller, on one line, only with "taken" or "no". `problem`: why it was not "taken", as
    the end of a sentence that begins with the receiver. It does not hold the address. `advice`: what the owner should
    know of a no. `wait_s`: how long to wait at least before the next attempt (s). `untold`: the answer has words for
    the caller under an old key, which callers are not told.
    """

    meaning: Meaning = "later"
    message: str = ""
    problem: str = ""
    advice: str = ""
    wait_s: float = 0.0
    untold: bool = False
