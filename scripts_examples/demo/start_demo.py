"""The IOC of the demonstration and its web page: two processes that end together.

`make demo` runs it. By hand, where bgrscrpt_ioc is installed with its extras `plot` and `web`:
    python start_demo.py
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.path.join(HERE, "demo.toml")
TOKEN = "demo"  # noqa: S105 - only this host can open the page
COMMAND = (sys.executable, "-m", "bgrscrpt_ioc")


def is_taken(port: int) -> bool:
    """Whether another program serves at the port of this host."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask those that still run to end; they end their scripts first."""
    for each in processes:
        if each.poll() is None:
            each.terminate()


def main() -> int:
    """Return the exit code of the process that ended first."""
    port = int(os.environ.get("DEMO_WEB_PORT", "8089"))
    if is_taken(port):
        print(
            f"The web page of the demonstration cannot be served: port {port} is taken."
            f" Choose another one: make demo DEMO_WEB_PORT={port + 1}",
            file=sys.stderr,
        )
        return 1
    processes: list[subprocess.Popen[bytes]] = []
    # ^C reaches all processes of the terminal, so each ends by itself; this one waits for them.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: end(processes))
    os.environ.setdefault("BGRSCRPT_WEB_TOKEN", TOKEN)
    ioc = (*COMMAND, "run", "--config", CONFIG, *sys.argv[1:])
    web = (*COMMAND, "web", "--config", CONFIG, "--allow-control", "--http-port", str(port))
    processes.extend(subprocess.Popen(command) for command in (ioc, web))  # noqa: S603 - our own
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # until one of them has ended
    end(processes)
    codes = [each.wait() for each in processes]
    return next((abs(code) for code in codes if code not in (0, -signal.SIGTERM)), 0)


if __name__ == "__main__":
    sys.exit(main())
