"""The instrument of `make demo`, and a CA repeater beside it, as each host with EPICS has one.

Where no repeater runs and no program `caRepeater` is installed, libca says so in four lines in the
log of each client.
"""

from __future__ import annotations

import os
import socket
import threading


def take_port() -> socket.socket | None:
    """Bind the port of the repeater: before anything slow, so that every client finds it bound.

    Return None if the port is taken: then a repeater runs already.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.bind(("", int(os.environ.get("EPICS_CA_REPEATER_PORT", "5065"))))
    except OSError:
        bound.close()
        return None
    return bound


def repeat(bound: socket.socket) -> None:
    """Be the repeater."""
    from caproto.sync.repeater import _run_repeater

    _run_repeater(bound, bound.getsockname())


def main() -> None:
    bound = take_port()
    if bound is not None:
        threading.Thread(target=repeat, args=(bound,), name="repeater", daemon=True).start()
    import instrument

    instrument.main()


if __name__ == "__main__":
    main()
