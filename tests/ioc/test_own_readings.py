"""The PVs of the IOC itself: `IOC:...` of each instance, and devIocStats' names for them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NOWTACCESS, STRING, Client
from benchmarks.rig.iocs import Ioc
from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS

ONE, TWO = "TE:BGRSCRPT_01:IOC:", "TE:BGRSCRPT_02:IOC:"
STATS = "TE:CS:IOC:BGRSCRPT_01:DEVIOS:"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ioc, Client, Path]]:
    """An IOC with two instances, one of them with devIocStats' names, and a client."""
    directory = tmp_path_factory.mktemp("own")
    (directory / "a.py").touch()
    config = directory / "instrument.toml"
    config.write_text(
        'prefix = "TE:"\n[defaults]\nscript = "a.py"\nat_start = "stop"\n'
        "[instance.BGRSCRPT_01]\niocstats_pvs = true\n[instance.BGRSCRPT_02]\n"
    )
    with ExitStack() as stack:
        ioc = stack.enter_context(Ioc(directory, "--config", config)).ready()
        yield ioc, stack.enter_context(Client(ioc.port)), config


def test_readings_of_the_ioc(served: tuple[Ioc, Client, Path]) -> None:
    """Every instance shows the process that serves it, and the other instances of that process."""
    ioc, client, config = served
    for pv in (ONE, TWO):
        assert client.get(f"{pv}VERSION") == __version__
        assert client.text(f"{pv}HOST") == socket.gethostname()
        assert client.get(f"{pv}PID") == ioc.process.pid
        assert client.text(f"{pv}INSTANCES") == "BGRSCRPT_01\nBGRSCRPT_02"
        assert client.text(f"{pv}CONFIG") == str(config)
        assert re.fullmatch(r"2\d{3}(-\d\d){2}T(\d\d:?){3}.\d\d:\d\d", client.get(f"{pv}STARTTIME"))
        assert 0 < client.get(f"{pv}UPTIME") < 3600
        assert client.get(f"{pv}CLIENTS") == 1
        assert 10 < client.get(f"{pv}MEMORY") < 500
        assert 5 < client.get(f"{pv}FDS") < 200
        assert 0 <= client.get(f"{pv}CPU") < 800
    with Client(ioc.port) as second:
        assert second.get(f"{TWO}CLIENTS") == 2
    assert client.get(f"{ONE}UPTIME") < client.get(f"{ONE}UPTIME")


def test_names_of_deviocstats(served: tuple[Ioc, Client, Path]) -> None:
    """All of them can be read and show what devIocStats shows; none can be written."""
    ioc, client, config = served
    values = {each.name: client.get(STATS + each.name, STRING) for each in IOCSTATS_RECORDS}
    assert values["ACCESS"] == "Running"
    assert values["PROCESS_ID"] == str(ioc.process.pid)
    assert values["PARENT_ID"] == str(os.getpid())
    assert values["HOSTNAME"] == socket.gethostname()[:39]
    assert values["ST_SCRIPT1"] == str(config)[:39]
    assert re.fullmatch(r"\d\d:\d\d:\d\d", values["UPTIME"])
    assert re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", values["STARTTOD"])
    assert client.get(f"{STATS}HEARTBEAT") >= 1
    assert client.get(f"{STATS}FD_FREE") == client.get(f"{STATS}FD_MAX") - client.get(
        f"{STATS}FD_CNT"
    )
    assert 1e7 < client.get(f"{STATS}MEM_USED") < client.get(f"{STATS}MEM_MAX")
    assert client.get(f"{STATS}LOAD.EGU") == "%"
    for name in ("SYSRESET", "READACF", "ACCESS"):
        assert client.put_callback(STATS + name) == ECA_NOWTACCESS
    assert ioc.process.poll() is None
