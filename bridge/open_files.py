"""How many files may be open at once: each connection is one, and a call has two."""

import logging
import sys
from contextlib import suppress

from bridge.reception import strangers as door

log = logging.getLogger(__name__)

#: Besides connections: the database, what listens, webhooks that are being delivered.
OTHERS = 150


def raise_limit(most_calls: int) -> None:
    """As far as the system lets us; and a warning where that is not enough for so many calls, and strangers besides.

    What a shell or systemd begins with, 1,024, is meant for programs that use select(2).
    """
    if sys.platform == "win32":
        return
    import resource                                  # Windows has none, and no such limit
    needed = 2 * most_calls + door.MOST + OTHERS
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return
    # macOS refuses more than the kernel has, infinity included.
    for wanted in (most, needed):
        if wanted > limit:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
                break
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < needed:
        log.warning(
            "%(limit)d files may be open at once, and %(needed)d may be needed: two for each of MAX_CALLS=%(calls)d, "
            "and strangers' connections. Raise the limit: ulimit -n %(needed)d, or LimitNOFILE= of systemd.",
            {"limit": limit, "needed": needed, "calls": most_calls})
