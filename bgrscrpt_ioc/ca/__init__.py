"""The Channel Access face: channels of records, and a server on caproto's protocol code.

caproto is imported without numpy, which it would use for arrays. We need no numpy here, and it
would take a third of the start-up time and 12 MB of the IOC's memory.
"""

import sys

from bgrscrpt_ioc.host.lean import without

if "caproto" not in sys.modules:
    with without("numpy"):
        import caproto  # noqa: F401
