"""Channel Access: records, their channels, and the server on caproto's protocol.

caproto is imported without numpy, which it would take for arrays: none of ours needs it, and it
would be a third of the start-up time and 12 MB of the IOC's memory.
"""

import sys

if "caproto" not in sys.modules and "numpy" not in sys.modules:
    sys.modules["numpy"] = None  # pyright: ignore[reportArgumentType] - for `import`: not there
    try:
        import caproto  # noqa: F401
    finally:
        del sys.modules["numpy"]
