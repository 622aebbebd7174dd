"""Channel Access: records, their channels, and the server on caproto's protocol.

caproto is imported without numpy, which it would take for arrays: none of ours needs it, and it
would be a third of the start-up time and 12 MB of the IOC's memory. Nor does it need curses, which
would colour its log.
"""

import sys

from bgrscrpt_ioc.lean import without

if "caproto" not in sys.modules:
    with without("numpy"), without("curses"):
        import caproto  # noqa: F401
