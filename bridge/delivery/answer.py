"""What a receiver has made of a delivery, in words that every kind of receiver can say.

Pure. A receiver translates its own protocol into this, as statuses.py does with HTTP's. Everything behind it, when it
is tried again, what is written down and what the log says, looks at the meaning and knows no protocol.
"""

from dataclasses import dataclass
from typing import Literal

#: The receiver has taken the news. Or it says no, on purpose and for good. Or something is set up wrongly, which does
#: not pass by itself, and which the owner can mend. Or the receiver may take it later.
Meaning = Literal["taken", "no", "set-up", "later"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said to one attempt.

    `message`: its own words for the caller, on one line, or ""; there are none but with "taken" and "no". `problem`:
    what was met instead of "taken", as the end of a sentence that begins with the receiver, without its address.
    `advice`: what the owner should know of a no, or "". `wait_s`: it is not to be tried again sooner, seconds from now.
    `untold`: it has words for the caller that are not told, because their key is an old one.
    """

    meaning: Meaning = "later"
    message: str = ""
    problem: str = ""
    advice: str = ""
    wait_s: float = 0.0
    untold: bool = False
