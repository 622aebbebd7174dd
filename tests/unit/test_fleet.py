"""`status` of a fleet: which instances it shows, and where it found them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc.cli.address import address_of
from bgrscrpt_ioc.cli.finding import SIBLING, instances_asked, siblings, sources
from bgrscrpt_ioc.cli.fleet import read_fleet
from bgrscrpt_ioc.cli.parser import parser
from bgrscrpt_ioc.client.instance import HERE, Instance
from bgrscrpt_ioc.client.readings import places, urgency
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.lifecycle.events import CommandFailed

FLEET = """
port = 5066
[ioc.NDW1]
prefix = "TE:NDW1:"
hosts = ["ndw1", "192.0.2.7:5070"]
names = ["BGRSCRPT_01", "PLOT"]
[ioc.NDW2]
prefix = "TE:NDW2:"
port = 5064
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Write a fleet file."""
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    return path


def asked(*line: str) -> list[Instance]:
    """Return the instances that `status LINE` asks for."""
    arguments = parser().parse_args(["status", *line])
    return instances_asked(arguments, address_of(arguments))


def test_a_fleet(fleet: Path) -> None:
    """Each IOC has its own prefix, hosts, port and names, else those of the file, else defaults."""
    hosts = ("ndw1", "192.0.2.7:5070")
    assert asked("--fleet", str(fleet)) == [
        Instance("TE:NDW1:", "BGRSCRPT_01", 5066, hosts),
        Instance("TE:NDW1:", "PLOT", 5066, hosts),
        Instance("TE:NDW2:", "BGRSCRPT_01", 5064),
    ]
    (second,) = asked("--fleet", str(fleet), "TE:NDW2:")
    assert (second.full_name, second.source) == ("TE:NDW2:BGRSCRPT_01", "fleet.toml")
    with pytest.raises(CommandFailed, match=r"fleet.toml: no instance with such a prefix"):
        asked("--fleet", str(fleet), "TE:NDW9:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ": names no IOC; write a table [ioc.NAME] with a prefix for each"),
        ("ioc = 3", ": names no IOC; "),
        ("[ioc.A]", ": [ioc.A] prefix: is missing"),
        ("[ioc.A]\nprefix = 3", ": [ioc.A] prefix: is 3, should be a text that PV names may"),
        ('[ioc.A]\nprefix = ""\nhosts = "a"', ": [ioc.A] hosts: is 'a', should be a list of hosts"),
        ('[ioc.A]\nprefix = ""\nnames = ["a"]', ": [ioc.A] names: is ['a'], should be a list"),
        ('port = 0\n[ioc.A]\nprefix = ""', ": port: is 0, should be a port, 1 to 65535"),
        ('[ioc.A]\nprefix = ""\nhost = []', ": [ioc.A] host: is not known; known are prefix, "),
        ("[ioc]\nA = 1", ": ioc.A: is 1, should be a table, [ioc.A]"),
        ("[ioc.", ": end of document: "),
    ],
)
def test_a_wrong_fleet(text: str, says: str, tmp_path: Path) -> None:
    """A mistake in the file is reported with its key and the expected value."""
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_fleet(path)
    assert str(error.value).startswith(f"{path}{says}")


def test_siblings_and_sources() -> None:
    """An IOC on another host names its other instances, and FOUND says how each was found."""
    one = Instance("TE:", "BGRSCRPT_01", 5064, ("h",), "fleet.toml")
    told = siblings(one, "BGRSCRPT_01\nBGRSCRPT_02")
    assert told == [one, Instance("TE:", "BGRSCRPT_02", 5064, ("h",))]
    assert {each.source for each in told} == {SIBLING}
    assert siblings(Instance("TE:", "A", 5064, source=HERE), "A\nB") == []
    assert siblings(one, None) == []
    assert sources([one]) == "1 instance in fleet.toml"
    assert sources([one, told[1]]) == "2 instances: 1 in fleet.toml, 1 told by IOC:INSTANCES"


def test_two_of_one_name() -> None:
    """Two instances of one full name, at two ports, are searched for one after the other."""
    one, two, other = (Instance("TE:", name, port) for name, port in [("A", 1), ("A", 2), ("B", 2)])
    assert places([one, two, other]) == [[one, other], [two]]


def test_who_needs_somebody_comes_first() -> None:
    """Failed, then without an answer, then in alarm, then the others, by their names."""
    rows = [
        {"PREFIX": "TE:", "NAME": name, "STATUS": status, "SEVERITY": severity}
        for name, status, severity in (
            ("A", "Running", "NO_ALARM"),
            ("B", "Backoff", "MINOR"),
            ("C", None, None),
            ("D", "Failed", "MAJOR"),
            ("E", "Running", "MAJOR"),
        )
    ]
    assert [each["NAME"] for each in sorted(rows, key=urgency)] == ["D", "E", "C", "B", "A"]


def searched(places: str, given: str = "") -> list[str]:
    """Return where libca searches for these places, in a process with an environment of its own."""
    code = (
        "import os\nfrom bgrscrpt_ioc.client.libca import point_at_all\n"
        f"point_at_all({places}, [])\nprint(os.environ['EPICS_CA_ADDR_LIST'])\n"
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
    command = [sys.executable, "-P", "-c", code]
    environ |= {"EPICS_CA_ADDR_LIST": given}
    return subprocess.run(
        command, env=environ, check=True, capture_output=True, text=True
    ).stdout.split()


def test_servers_that_share_a_port_of_this_host() -> None:
    """This host is also searched by broadcast, so all its servers are reached."""
    assert searched("[(5064, ('localhost', '127.0.0.1:5066', '192.0.2.7'), False)]") == [
        "127.255.255.255:5064",
        "127.0.0.1:5064",
        "127.255.255.255:5066",
        "127.0.0.1:5066",
        "192.0.2.7:5064",
    ]


def test_an_ioc_of_this_host_at_another_port() -> None:
    """An IOC of this host is found even if the user's address list names another port."""
    found = searched("[(5066, (), True)]", given="127.0.0.1:5064")
    assert {"127.0.0.1:5064", "127.0.0.1:5066"} <= set(found)
