"""No value of a variable of EPICS is an error, and each odd one is reported."""

from __future__ import annotations

import pytest

from bgrscrpt_ioc.config.epicsvars import EpicsVariables, read_epics_variables

# All variables in EPICS base's envDefs.h that concern Channel Access.
CA_VARIABLES = (
    "EPICS_CA_ADDR_LIST", "EPICS_CA_CONN_TMO", "EPICS_CA_AUTO_ADDR_LIST", "EPICS_CA_REPEATER_PORT",
    "EPICS_CA_SERVER_PORT", "EPICS_CA_MAX_ARRAY_BYTES", "EPICS_CA_AUTO_ARRAY_BYTES",
    "EPICS_CA_MAX_SEARCH_PERIOD", "EPICS_CA_NAME_SERVERS", "EPICS_CA_MCAST_TTL",
    "EPICS_CAS_INTF_ADDR_LIST", "EPICS_CAS_IGNORE_ADDR_LIST", "EPICS_CAS_AUTO_BEACON_ADDR_LIST",
    "EPICS_CAS_BEACON_ADDR_LIST", "EPICS_CAS_SERVER_PORT", "EPICS_CA_BEACON_PERIOD",
    "EPICS_CAS_BEACON_PERIOD", "EPICS_CAS_BEACON_PORT",
)  # fmt: skip
ODD = ("", " ", "0", "-1", "text", "1e999", "nan", "9" * 400, "0x10", "5064x", "\udcff", "$(A)")
PORTS = {each for each in CA_VARIABLES if each.endswith("_PORT")}
PERIODS = {"EPICS_CA_BEACON_PERIOD", "EPICS_CAS_BEACON_PERIOD"}
DEFAULTS = read_epics_variables({})


@pytest.mark.parametrize("value", ODD, ids=ascii)
@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_no_value_is_an_error(variable: str, value: str) -> None:
    """Ports stay ports, and periods above 0.

    A value that is no number is reported with its variable.
    """
    found = read_epics_variables({variable: value})
    ports = (found.server_port or 5064, found.client_port, found.beacon_port)
    assert all(5000 < port <= 65_535 for port in ports)
    assert found.beacon_period > 0
    assert all(variable in problem for problem in found.problems)
    if variable in PORTS | PERIODS and value.strip() and value != "5064x":
        numeric = variable in PERIODS and value in ("0x10", "9" * 400)
        assert found.problems or numeric
    if not value.strip():
        assert found == read_epics_variables({variable: value} if "LIST" in variable else {})
        assert not found.problems


@pytest.mark.parametrize(
    ("variables", "key", "value"),
    [
        ({}, "beacon_period", 15.0),
        ({"EPICS_CAS_BEACON_PERIOD": "0"}, "beacon_period", 15.0),
        ({"EPICS_CA_BEACON_PERIOD": "3.5"}, "beacon_period", 3.5),
        ({"EPICS_CA_BEACON_PERIOD": "3", "EPICS_CAS_BEACON_PERIOD": "2"}, "beacon_period", 2.0),
        ({"EPICS_CA_REPEATER_PORT": "6065"}, "beacon_port", 6065),
        ({"EPICS_CA_REPEATER_PORT": "6065", "EPICS_CAS_BEACON_PORT": "6066"}, "beacon_port", 6066),
        ({"EPICS_CA_SERVER_PORT": "6064"}, "server_port", 6064),
        ({"EPICS_CA_SERVER_PORT": "6064", "EPICS_CAS_SERVER_PORT": ""}, "server_port", 6064),
        ({"EPICS_CA_SERVER_PORT": "80"}, "client_port", 5064),
        ({"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "no"}, "auto_beacons", False),
        ({"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "maybe"}, "auto_beacons", False),
        ({"EPICS_CAS_AUTO_BEACON_ADDR_LIST": ""}, "auto_beacons", True),
        ({"EPICS_CA_AUTO_ADDR_LIST": "maybe"}, "auto_addresses", True),
        ({"EPICS_CA_AUTO_ADDR_LIST": "No"}, "auto_addresses", False),
        ({"EPICS_CAS_INTF_ADDR_LIST": "10.0.0.1:7 -1 0 h"}, "interfaces", ("10.0.0.1", "h")),
    ],
)
def test_what_they_mean(variables: dict[str, str], key: str, value: object) -> None:
    """The server's own variable overrides the variable that it shares with clients."""
    found: EpicsVariables = read_epics_variables(variables)
    assert getattr(found, key) == value


def test_a_wrong_port_says_what_is_taken() -> None:
    """The message names the variable, its value, what is used instead, and the remedy."""
    (problem,) = read_epics_variables({"EPICS_CAS_SERVER_PORT": "no"}).problems
    assert problem == (
        "EPICS_CAS_SERVER_PORT='no' is not a port from 5001 to 65535: 5064 is taken; correct or"
        " unset EPICS_CAS_SERVER_PORT"
    )
