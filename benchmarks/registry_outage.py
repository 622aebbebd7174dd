"""How long a CA client waits for STATUS while the registry's MariaDB is well, hung and killed.

`python -m benchmarks.registry_outage`: a table of medians and worst cases, in ms, of one run.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path

from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import FOREVER, Ioc
from benchmarks.rig.mariadb import MariaDb

SECONDS = 8.0
STATUS = "TE:BGRSCRPT_01:STATUS"
REGISTERS = "from server_common.helpers import register_ioc_start as r\nr('BGRSCRPT_01')\n"


def waits(client: Client) -> list[float]:
    """Read STATUS, and have the script restarted, which registers anew; ms of each read."""
    found = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        client.put("TE:BGRSCRPT_01:RESTART", 1)
        for _ in range(50):
            began = time.perf_counter()
            client.get(STATUS)
            found.append(1000 * (time.perf_counter() - began))
    return found


def main() -> None:
    """Measure and print."""
    directory = Path(tempfile.mkdtemp(prefix="bgr-"))
    script = directory / "script.py"
    script.write_text(REGISTERS + FOREVER)
    server = MariaDb(directory)
    server.install()
    server.start()
    url = server.make_registry("iocdb", "iocdb")
    print("| registry | reads | median ms | 99 % ms | worst ms |\n|---|---|---|---|---|")
    with ExitStack() as stack:
        stack.callback(server.kill)
        options = [script, "--prefix", "TE:", "--registry", url, "--no-echo"]
        ioc = stack.enter_context(Ioc(directory, *options)).ready()
        client = stack.enter_context(Client(ioc.port))
        for name, outage in (
            ("well", nullcontext()),
            ("hung", server.hung()),
            ("killed", server.down()),
        ):
            with outage:
                found = sorted(waits(client))
            centile = found[int(0.99 * len(found))]
            median = statistics.median(found)
            print(f"| {name} | {len(found)} | {median:.2f} | {centile:.2f} | {found[-1]:.1f} |")


if __name__ == "__main__":
    main()
