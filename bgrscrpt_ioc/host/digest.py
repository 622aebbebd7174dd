"""SHA-256 without OpenSSL, which `hashlib` would import: 3 MB of the IOC's memory."""

from __future__ import annotations

import sys

try:
    if sys.version_info < (3, 12):
        from _sha256 import sha256
    else:
        from _sha2 import sha256  # pyright: ignore[reportMissingImports]
except ImportError:  # some systems build Python without it
    from hashlib import sha256

PIECE = 1 << 16  # bytes; Python's own code lets no other thread run meanwhile: 0.3 ms


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    whole = sha256()
    for at in range(0, len(data), PIECE):
        whole.update(data[at : at + PIECE])
    return whole.hexdigest()
