"""The operator screens: they take a site's macros, show PVs that exist, and ask before a STOP."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.screens import NUMBERED, overview, shipped
from bgrscrpt_ioc.records.table import DONE_BUSY, RECORDS

DB = Path(__file__).parents[2] / "db"
NAMES = {record.name for record in RECORDS}
COMMANDS = {record.name for record in RECORDS if record.choices == DONE_BUSY and record.writable}
# In LOG, and behind SCRIPT:GIT and SCRIPT:CHANGED; for programs.
ELSEWHERE = {"LOG:LINE", "SCRIPT:SHA256", "PVS", "LINKS", "HISTORY"}  # HISTORY:TEXT is for people
# Of the IOC, which is no business of the script's user but for where it runs and since when.
ELSEWHERE |= {each for each in NAMES if each.startswith("IOC:")} - {"IOC:HOST", "IOC:STARTTIME"}
# Properties of Phoebus's widgets (app/display/model, 2026) that we use; it ignores others silently.
COMMON = {"name", "x", "y", "width", "height", "rules", "actions", "pv_name", "font"}
PROPERTIES = {
    "label": COMMON | {"text", "vertical_alignment"},
    "textupdate": COMMON
    | {"format", "precision", "vertical_alignment", "horizontal_alignment"}
    | {"wrap_words", "interactive"},
    "action_button": COMMON | {"text", "show_confirm_dialog", "confirm_message"},
    "bool_button": COMMON | {"off_label", "on_label"},
    "progressbar": COMMON,
}
FORMULA = re.compile(r"eq://`(.+)` / 3600")
Widget = ET.Element


def widgets(name: str) -> list[Widget]:
    """The widgets of a screen."""
    return list(parse((DB / name).read_text()).iter("widget"))


def parse(text: str) -> ET.Element:
    """The display in a file."""
    return ET.fromstring(text)  # noqa: S314 - our own


def shown(widget: Widget) -> str:
    """The PV that a widget shows, which may be within a formula."""
    name = widget.findtext("pv_name", "")
    found = FORMULA.fullmatch(name)
    return found[1] if found else name


def by_record(name: str, prefix: str = "$(P)$(NAME):") -> dict[str, Widget]:
    """The widgets of a screen by the record that they show."""
    found = {shown(each): each for each in widgets(name) if shown(each)}
    return {pv.removeprefix(prefix): each for pv, each in found.items() if pv.startswith(prefix)}


@pytest.mark.parametrize("name", shipped())
def test_screen_is_current(name: str) -> None:
    """`make docs` would change nothing."""
    assert (DB / name).read_text() == shipped()[name]


@pytest.mark.parametrize("name", shipped())
def test_screen_leaves_macros_to_the_site(name: str) -> None:
    """A screen defines no macros: in Phoebus its own would win over those that a site gives."""
    display = parse((DB / name).read_text())
    assert display.find("macros") is None
    assert not [each for each in display.iter("widget") if each.find("macros") is not None]


@pytest.mark.parametrize("name", shipped())
def test_screen_has_what_phoebus_knows(name: str) -> None:
    """Widgets and properties are Phoebus's, and lie within the display without an overlap."""
    display = parse((DB / name).read_text())
    size = int(display.findtext("width", "")), int(display.findtext("height", ""))
    places: list[tuple[int, int, int, int]] = []
    for widget in display.iter("widget"):
        kind = widget.get("type", "")
        assert {each.tag for each in widget} <= PROPERTIES[kind], widget.findtext("name")
        x, y, width, height = (
            int(widget.findtext(key, "")) for key in ("x", "y", "width", "height")
        )
        assert x + width <= size[0]
        assert y + height <= size[1]
        for left, top, right, bottom in places:
            apart = x >= right or x + width <= left or y >= bottom or y + height <= top
            assert apart, f"{widget.findtext('name')} overlaps what is at {left}, {top}"
        places.append((x, y, x + width, y + height))


def test_screen_shows_all_of_an_instance() -> None:
    """The screen of an instance shows its PVs, all but what another one shows too."""
    assert set(by_record("bgrscrpt.bob")) <= NAMES
    assert set(by_record("bgrscrpt.bob")) >= NAMES - ELSEWHERE


def test_long_texts_wrap_and_scroll() -> None:
    """Long texts wrap and scroll, and LOG shows its newest line."""
    found = by_record("bgrscrpt.bob")
    for name in ("STATUS:MSG", "MESSAGE", "ERROR", "TRACEBACK", "LOG"):
        assert found[name].findtext("wrap_words") == "true", name
        assert found[name].findtext("interactive") == "true", name
        assert found[name].findtext("format") == "6", name
    assert found["LOG"].findtext("vertical_alignment") == "2"


def test_stop_asks_back() -> None:
    """A button that ends a run asks first; the others do as they are told."""
    found = by_record("bgrscrpt.bob")
    asking = {name for name in COMMANDS if found[name].findtext("show_confirm_dialog") == "true"}
    assert asking == {"STOP", "RESTART"}
    for name in COMMANDS:
        assert found[name].findtext("actions/action/value") == "1"
        assert found[name].findtext("actions/action/pv_name") == f"$(P)$(NAME):{name}"


@pytest.mark.parametrize("name", shipped())
def test_status_has_a_colour_in_each_state(name: str) -> None:
    """Each state has a colour, and Running another one while it is in alarm."""
    prefix = "$(P)$(NAME):" if name == "bgrscrpt.bob" else "$(P)BGRSCRPT_01:"
    rule = by_record(name, prefix)["STATUS"].find("rules/rule")
    assert rule is not None
    assert rule.get("prop_id") == "background_color"
    expressions = [each.get("bool_exp") for each in rule.iter("exp")]
    assert expressions[0] == "pv0 == 2 && pvSev0 > 0"
    assert expressions[1:] == [f"pv0 == {state.value}" for state in State]


def test_overview_has_a_row_for_each() -> None:
    """Each instance has its PVs in the overview, and a button that opens its screen."""
    display = parse(overview("TE:<&>:", ["PLOT", "WATCH"]))
    served = {f"TE:<&>:{name}:{record}" for name in ("PLOT", "WATCH") for record in NAMES}
    pvs = {shown(each) for each in display.iter("widget")} - {""}
    assert pvs <= served
    assert {f"TE:<&>:{name}:STATUS" for name in ("PLOT", "WATCH")} <= pvs
    actions = [each for each in display.iter("action") if each.get("type") == "open_display"]
    macros = [(each.findtext("macros/P"), each.findtext("macros/NAME")) for each in actions]
    assert macros == [("TE:<&>:", "PLOT"), ("TE:<&>:", "WATCH")]
    assert {each.findtext("file") for each in actions} == {"bgrscrpt.bob"}


def test_shipped_overview_takes_the_prefix() -> None:
    """The overview that is installed is of BGRSCRPT_01 and so on, with the macro P."""
    pvs = {shown(each) for each in widgets("bgrscrpt_overview.bob")}
    assert {f"$(P){name}:STATUS" for name in NUMBERED} <= pvs
