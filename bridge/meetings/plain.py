"""A text as the grammar of words.py reads it: lower case, digits for numbers, no courtesies.

Pure. Only words that never say anything about the day and the time are left out. "Not", "or" and "after" stay.
"""

import re
import unicodedata
from collections.abc import Callable

from bridge.meetings.spoken import TENS, UNITS, WEEKDAYS, ordinal

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
             "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth")
_DIGITS = {
    **{word: str(n) for n, word in enumerate(UNITS)},
    **{word: ordinal(n) for n, word in enumerate(_ORDINALS, 1)},
    **{ten: str(20 + 10 * n) for n, ten in enumerate(TENS)},
    "twentieth": "20th", "thirtieth": "30th",
}
_FILLERS = frozenset(
    "the on please um uh er erm hm hmm yes yeah yep ok okay sure alright well so then just actually maybe perhaps "
    "around about roughly approximately approx exactly precisely sharp say instead preferably hello hi thanks".split())

#: Courtesies as whole phrases. They are taken out while their punctuation is still there.
_COURTESIES = (
    r"^(?:no|nope|oh|right|fine|great|perfect|good)[,.] ",
    r"\b(?:can|could|shall|should|might|may) (?:we|i|you) (?:please )?"
    r"(?:do|say|meet|come(?: in| by)?|have|make it|book(?: me| it| us)?(?: in)?)\b",
    r"\b(?:i|we)(?:'d| would) (?:like|prefer|love|say)(?: to (?:come(?: in)?|meet|book|have))?\b",
    r"\b(?:i|we)(?:'m| am|'re| are) (?:free|available)\b",
    r"\b(?:let's|lets|let us) (?:say|do|meet|make it|go (?:for|with))\b",
    r"\b(?:make it|book (?:me|it|us)(?: in)?|how about|what about|i think|i guess)\b",
    r"\bif (?:that works|possible|(?:that(?:'s| is)|it(?:'s| is)) (?:possible|ok|okay|alright|all right))\b",
    r"\b(?:works|suits me|(?:is|would be) (?:fine|good|great|ok|okay|perfect|best))(?: (?:for|with) (?:me|us))?\b",
    r"^one (?:moment|second|sec|minute)[,.] |\b(?:just|hang on|wait) (?:a|one) (?:moment|second|sec|minute)\b",
    r"\bthank you\b|\bor so\b|\bon the dot\b|\b(?:a|an) (?:meeting|appointment|table|slot)\b",
)
#: A "for" that says nothing, as in "for ten a.m.". It stays where it says how many people, "for two on Friday", or how
#: long, "for two hours".
_DAY_NAMES = "|".join((*map(str.lower, WEEKDAYS), "today", "tomorrow", "this", "next"))
_FOR = (rf"\bfor (?![0-9]{{1,2}}(?:$| (?:(?:on )?(?:{_DAY_NAMES})|at|people|persons|guests|of us)\b)"
        r"|(?:an?|half|[0-9]+)(?: an)?(?: and a half)? ?(?:h|hrs?|hours?|min|mins|minutes?)\b)")

_REWRITE_RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"[\u2010-\u2015\u2212]", "-"),                 # hyphens and dashes
    ("[\u2019\u2018\u02bc`]", "'"),
    (r"(?<![a-z])o ?'? ?clock\b", " oclock"),
    *((phrase, " ") for phrase in _COURTESIES),
    (r"(?<![a-z])([ap])\.? ?m\b\.?", r" \1m"),       # 10am, 10 a.m., ten A M
    (r"\b(minute|hour|day|week|fortnight|month|year)(?:s?'?|'s) time\b", r"\1"),   # in two weeks' time
    (r"(?<=[a-z])-(?=[a-z])", " "),
    (rf"\b({'|'.join(TENS)}) ({'|'.join((*UNITS[1:10], *_ORDINALS[:9]))})\b",
     lambda found: _DIGITS[found[1]][0] + _DIGITS[found[2]]),
    (rf"\b({'|'.join((*UNITS[1:13], '[0-9]{1,2}'))})[ -]?ish\b", r"\1"),           # tenish
    (r"[a-z]+", lambda found: _DIGITS.get(found[0], found[0])),
    (r"\b([0-9]{1,2})\. ?([0-9]{1,2})\. ?([0-9]{4})\b", r"\1.\2.\3"),              # 1. 12. 2026
    (r"[,;!?]|\.(?= |$)", " "),
    (r"\[([a-z_/]+)\]", r" \1"),                    # 2026-12-01T10:00[Europe/Berlin]
    (r" {2,}", " "),
    (_FOR, ""),
    (r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}) +(?:at )?(?=(?:[01][0-9]|2[0-3]):[0-9]{2}(?! *[ap]m))", r"\1t"),
)
_REWRITES = tuple((re.compile(pattern, re.ASCII), by) for pattern, by in _REWRITE_RULES)


def plain(text: str) -> str:
    """The text as the grammar reads it: words and digits with single spaces. Also for comparing two phrases."""
    text = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    for pattern, by in _REWRITES:
        text = pattern.sub(by, text)
    return " ".join(word for word in text.split() if word not in _FILLERS)
