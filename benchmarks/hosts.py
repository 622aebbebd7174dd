"""Two hosts, an IOC with a hundred scripts on each, and one client of both: EPICS is the cluster.

`python -m benchmarks.hosts`, as root: the hosts are network namespaces of this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.kit import Row, median, table, until
from benchmarks.rig.ca import Client, ca_environ

SCRIPTS = 100  # on each host
PORT = 5064
TRIVIAL = "import time\nwhile True:\n    time.sleep(1000)\n"
RUNNING = 2


@contextmanager
def host(number: int) -> Iterator[tuple[str, str]]:
    """A network namespace with one link to us: its name, and its address."""
    name = f"bgr{os.getpid()}.{number}"
    inside, outside = f"198.51.100.{4 * number + 2}", f"198.51.100.{4 * number + 1}"
    ip("netns", "add", name)
    try:
        ip("link", "add", f"{name}o", "type", "veth", "peer", "name", f"{name}i", "netns", name)
        ip("addr", "add", f"{outside}/30", "dev", f"{name}o")
        ip("link", "set", f"{name}o", "up")
        ip("-n", name, "addr", "add", f"{inside}/30", "dev", f"{name}i")
        ip("-n", name, "link", "set", f"{name}i", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, inside
    finally:
        ip("netns", "delete", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)  # noqa: S603, S607 - as root


def names(number: int) -> list[str]:
    return [f"HOST{number}_{each:03}" for each in range(SCRIPTS)]


@contextmanager
def ioc(number: int, namespace: str, address: str) -> Iterator[None]:
    """An IOC on that host."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        (directory / "script.py").write_text(TRIVIAL)
        tables = "".join(f'[instance.{each}]\nscript = "script.py"\n' for each in names(number))
        (directory / "ioc.toml").write_text(f'prefix = "TE:"\necho = false\n{tables}')
        command = [sys.executable, "-m", "bgrscrpt_ioc", "run", "--config"]
        command += [f"{directory}/ioc.toml", "--state-dir", name, "--interface", address]
        process = subprocess.Popen(  # noqa: S603 - our own command
            ["ip", "netns", "exec", namespace, *command],  # noqa: S607 - iproute2
            env={**ca_environ(PORT), "EPICS_CAS_INTF_ADDR_LIST": address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def rows() -> Iterator[Row]:
    """Measure."""
    with ExitStack() as stack:
        hosts = [stack.enter_context(host(number)) for number in (1, 2)]
        began = time.perf_counter()
        for number, (namespace, address) in enumerate(hosts, 1):
            stack.enter_context(ioc(number, namespace, address))
        addresses = " ".join(address for _, address in hosts)
        client = stack.enter_context(Client(PORT, EPICS_CA_ADDR_LIST=addresses))
        pvs = [f"TE:{each}:STATUS" for number in (1, 2) for each in names(number)]

        def all_run() -> bool:
            found = client.read_all(pvs)
            return all(each is not None and each["value"] == RUNNING for each in found)

        until(all_run, "all Running")
        took = time.perf_counter() - began
        found = []
        for pv in pvs:
            began = time.perf_counter()
            client.get(pv)
            found.append(1000 * (time.perf_counter() - began))
    yield Row(f"two hosts, {SCRIPTS} scripts on each: all Running for one client", "s", took, {})
    yield Row("a get from either host, over libca", "ms", median(found), {})


if __name__ == "__main__":
    print(table(rows()))
