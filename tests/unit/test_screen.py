"""The operator screen: well-formed, and of PVs that exist."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from bgrscrpt_ioc.ca.records import RECORDS

SCREEN = Path(__file__).parents[2] / "db" / "bgrscrpt.bob"


def test_screen_shows_pvs_that_exist() -> None:
    """Every PV of the screen is one of the instance's, and every command has its button."""
    names = {record.name for record in RECORDS}
    tree = ET.parse(SCREEN)  # noqa: S314 - our own file
    shown = {
        (element.text or "").removeprefix("$(P)$(NAME):")
        for element in tree.iter("pv_name")
        if element.text != "$(pv_name)"
    }
    assert shown <= names
    assert {record.name for record in RECORDS if record.writable} <= shown
