"""The alarms for Phoebus's alarm server: a component that is added, and replaces nothing else."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from bgrscrpt_ioc.records.alarmtree import ALARMS, component, configuration, merged
from bgrscrpt_ioc.records.table import RECORDS

SCREEN = "/opt/a & b/bgrscrpt.bob"


def parse(text: str) -> ET.Element:
    """Return the element in a file."""
    return ET.fromstring(text)  # noqa: S314 - our own


def test_component_cannot_be_imported_by_itself() -> None:
    """Phoebus's import, which deletes a whole configuration, accepts only a `config`."""
    assert parse(component("TE:", ["BGRSCRPT_01"], "")).tag == "component"


def test_component_has_each_alarm_of_each_instance() -> None:
    """Each instance has its alarms, with what to do and the screen of that instance."""
    tree = parse(component("TE:", ["PLOT", "WATCH"], SCREEN))
    assert [pv.get("name") for pv in tree.iter("pv")] == [
        f"TE:{name}:{alarm.record}" for name in ("PLOT", "WATCH") for alarm in ALARMS
    ]
    assert {pv.findtext("latching") for pv in tree.iter("pv")} == {"false"}
    assert all(pv.findtext("guidance/details") for pv in tree.iter("pv"))
    displays = [pv.findtext("display/details") for pv in tree.iter("pv")]
    assert displays[0] == f"{SCREEN}?P=TE:&NAME=PLOT"
    assert displays[-1] == f"{SCREEN}?P=TE:&NAME=WATCH"


def test_alarms_are_those_of_the_table() -> None:
    """Each alarm of the table is there, and each alarm belongs to a record."""
    names = {alarm.record for alarm in ALARMS}
    assert {record.name for record in RECORDS if "alarm" in record.infos} <= names
    assert names <= {record.name for record in RECORDS}


def test_configuration_is_named() -> None:
    """A whole configuration has the name that was asked for, and only our component."""
    tree = parse(configuration("BGRSCRPT", "TE:", ["PLOT"], ""))
    assert (tree.tag, tree.get("name")) == ("config", "BGRSCRPT")
    assert [each.tag for each in tree] == ["component"]
    assert tree.find(".//display") is None


EXPORTED = """<?xml version="1.0" encoding="UTF-8"?>
<config name="Accelerator">
  <pv name="SR-CS:BEAM"><enabled>true</enabled></pv>
  <!-- kept by the vacuum group -->
  <component name="Vacuum"><pv name="VA:G1"><filter>VA:ON &gt; 0</filter></pv></component>
  <component name="BGRSCRPT"><pv name="TE:OLD:STATUS"/></component>
</config>
"""


def test_merged_keeps_what_a_site_has() -> None:
    """All that was exported is still there; only our own component is replaced, once."""
    text = merged(EXPORTED, "TE:", ["PLOT"], "")
    assert merged(text, "TE:", ["PLOT"], "") == text
    tree = parse(text)
    assert tree.get("name") == "Accelerator"
    kept = [each for each in tree if each.get("name") != "BGRSCRPT"]
    before = [each for each in parse(EXPORTED) if each.get("name") != "BGRSCRPT"]
    assert [content(each) for each in kept] == [content(each) for each in before]
    ours = [each.get("name") for each in tree.iterfind("component[@name='BGRSCRPT']/pv")]
    assert ours == [f"TE:PLOT:{alarm.record}" for alarm in ALARMS]


@pytest.mark.parametrize("text", ["", "<config", component("TE:", ["PLOT"], "")])
def test_merged_refuses_what_is_no_configuration(text: str) -> None:
    """A file that is not an exported configuration is refused with the reason."""
    with pytest.raises(ValueError, match=r"is not XML|is a <component>"):
        merged(text, "TE:", ["PLOT"], "")


def content(element: ET.Element) -> list[tuple[str, str | None, str]]:
    """Return the elements in an element, without the white space between them."""
    return [(each.tag, each.get("name"), (each.text or "").strip()) for each in element.iter()]
