"""Makes the operator screens for Phoebus: db/bgrscrpt.bob, and the overview of many instances.

Pure. A screen defines no macros, because a display's own macros override those of the site. The
widgets and properties are those of Phoebus's display builder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.table import DONE_BUSY, RECORDS

SCREEN = "bgrscrpt.bob"
OVERVIEW = "bgrscrpt_overview.bob"
INSTANCE = "$(P)$(NAME)"
NUMBERED = tuple(f"BGRSCRPT_{number:02d}" for number in range(1, 9))  # the instances of OVERVIEW

WIDTH, MARGIN, LINE, LABEL, INDENT, ROW = 1000, 10, 24, 125, 140, 52  # pixels
WIDE = WIDTH - 2 * MARGIN
DEFAULT, STRING, SEXAGESIMAL = 0, 6, 8  # of Phoebus's FormatOption
# Values of vertical_alignment; at BOTTOM a text that can be scrolled follows its newest line.
TOP, MIDDLE, BOTTOM = 0, 1, 2

Colour = tuple[int, int, int]
RED: Colour = (255, 200, 200)
ORANGE: Colour = (255, 205, 140)
COLOURS: dict[State, Colour] = {
    State.STOPPED: (225, 225, 225),
    State.STARTING: (205, 225, 250),
    State.RUNNING: (195, 240, 195),
    State.STOPPING: (205, 225, 250),
    State.FINISHED: (225, 225, 225),
    State.BACKOFF: (255, 235, 150),
    State.FAILED: RED,
}
ASKED = {  # questions of the buttons that end a run
    "STOP": "Stop the script of $(NAME)? It stays stopped until somebody starts it.",
    "RESTART": "Restart the script of $(NAME)? This ends the current run.",
}


class Screen:
    """A display to which widgets are added one after the other."""

    def __init__(self, name: str, height: int) -> None:
        """Make an empty display."""
        self._root = ET.Element("display", version="2.0.0")
        _add(self._root, name=name, width=WIDTH, height=height)

    def text(self) -> str:
        """Return the whole file."""
        ET.indent(self._root)
        body = ET.tostring(self._root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'

    def label(self, text: str, x: int, y: int, width: int, *, size: int = 0) -> None:
        """Add a fixed text; bold, if it has a size of its own."""
        widget = self._widget("label", f"Label {text}", x, y, width, 2 * size or LINE - 4)
        _add(widget, text=text, vertical_alignment=MIDDLE)
        if size:
            _font(widget, size, "BOLD")

    def value(
        self, pv: str, x: int, y: int, width: int, height: int = LINE - 4, *, text: bool = False
    ) -> ET.Element:
        """Add the value of a PV with its unit; `text` is for a waveform of CHAR."""
        widget = self._widget("textupdate", pv, x, y, width, height)
        _add(widget, pv_name=pv, format=STRING if text else DEFAULT, vertical_alignment=MIDDLE)
        return widget

    def duration(self, pv: str, x: int, y: int, width: int, height: int = LINE - 4) -> None:
        """Add a number of seconds as h:mm:ss."""
        widget = self._widget("textupdate", pv, x, y, width, height)
        hours = f"eq://`{pv}` / 3600"
        _add(widget, pv_name=hours, format=SEXAGESIMAL, precision=4, vertical_alignment=MIDDLE)

    def status(self, pv: str, x: int, y: int, width: int, height: int, size: int) -> None:
        """Add the state of an instance in its colour."""
        widget = self.value(pv, x, y, width, height)
        _font(widget, size, "BOLD")
        _add(widget, horizontal_alignment=1)
        rule = ET.SubElement(
            ET.SubElement(widget, "rules"),
            "rule",
            name="Colour by state",
            prop_id="background_color",
            out_exp="false",
        )
        # Running, with a missing heartbeat or a dead thread. The rule does not use the number of
        # the severity: Phoebus numbers 1 MINOR and 2 MAJOR, its legacy and cs-web-lib the other way
        # round.
        cases = [(f"pv0 == {State.RUNNING.value} && pvSev0 > 0", ORANGE)]
        cases += [(f"pv0 == {state.value}", colour) for state, colour in COLOURS.items()]
        for expression, colour in cases:
            _colour(ET.SubElement(ET.SubElement(rule, "exp", bool_exp=expression), "value"), colour)
        _add(rule, pv_name=pv)

    def long(
        self,
        pv: str,
        x: int,
        y: int,
        width: int,
        height: int,
        *,
        align: int = TOP,
        fixed: bool = False,
    ) -> None:
        """Add a text that wraps, scrolls and can be copied; with `fixed`, in a fixed-width font."""
        widget = self._widget("textupdate", pv, x, y, width, height)
        _add(widget, pv_name=pv, format=STRING, vertical_alignment=align)
        _add(widget, wrap_words="true", interactive="true")
        _font(widget, 12, "REGULAR", "Liberation Mono" if fixed else "Liberation Sans")

    def command(self, pv: str, text: str, x: int, y: int, question: str = "") -> None:
        """Add a button that writes 1 to a PV; with a question, the button asks it first."""
        widget = self._widget("action_button", text, x, y, 90, 30)
        _add(widget, pv_name=pv, text=text)
        actions = ET.SubElement(widget, "actions")
        action = ET.SubElement(actions, "action", type="write_pv")
        _add(action, pv_name=pv, value=1, description=text)  # cs-web-lib does not know $(pv_name)
        if question:
            _add(widget, show_confirm_dialog="true", confirm_message=question)

    def switch(self, pv: str, text: str, x: int, y: int, width: int) -> None:
        """Add a switch between Off and On."""
        widget = self._widget("bool_button", text, x, y, width, 30)
        _add(widget, pv_name=pv, off_label=f"{text}: Off", on_label=f"{text}: On")

    def progress(self, pv: str, x: int, y: int, width: int) -> None:
        """Add a bar with the limits of its PV."""
        _add(self._widget("progressbar", pv, x, y, width, 30), pv_name=pv)

    def opener(self, prefix: str, name: str, x: int, y: int, width: int, height: int) -> None:
        """Add a button that opens the screen of one instance."""
        widget = self._widget("action_button", f"Open {name}", x, y, width, height)
        _add(widget, text=name)
        actions = ET.SubElement(widget, "actions")
        action = ET.SubElement(actions, "action", type="open_display")
        _add(action, file=SCREEN)
        _add(ET.SubElement(action, "macros"), P=prefix, NAME=name)
        _add(action, target="tab", description=f"Open {name}")

    def _widget(self, kind: str, name: str, x: int, y: int, width: int, height: int) -> ET.Element:
        version = "3.0.0" if kind == "action_button" else "2.0.0"
        widget = ET.SubElement(self._root, "widget", type=kind, version=version)
        _add(widget, name=name.removeprefix(f"{INSTANCE}:"), x=x, y=y, width=width, height=height)
        return widget


# The screen of an instance: three columns of labels and PVs; below, lines of one label and one PV.
COLUMNS = (
    (
        ("Started", "STARTTIME"),
        ("Uptime, h:mm:ss", "UPTIME"),
        ("Exit reason", "EXITREASON"),
        ("Exit code", "EXITCODE"),
        ("Next start in", "RETRYIN"),
    ),
    (
        ("Process id", "PID"),
        ("Heartbeat", "HEARTBEAT"),
        ("CPU", "CPU"),
        ("Memory", "MEMORY"),
        ("Processes", "PROCS"),
    ),
    (
        ("Starts", "STARTS"),
        ("Restarts", "RESTARTS"),
        ("Lines of output", "LOG:COUNT"),
        ("Lines not saved", "LOG:DROPPED"),
        ("Threads", "THREADS"),
    ),
)
PLACES = ((MARGIN, 215), (370, 180), (690, 170))  # x of a column, and width of its values
LINES = (
    ("Script", "SCRIPT"),
    ("Script file", "SCRIPT:MSG"),
    ("Python", "PYTHON"),
    ("Registry", "REGISTRY:MSG"),
    ("Log file", "LOG:FILE"),
    ("Host of the IOC", "IOC:HOST"),
)
BESIDE = {  # label and PV to the right of a line
    "SCRIPT": ("Changed on disk", "SCRIPT:CHANGED"),
    "SCRIPT:MSG": ("Git revision", "SCRIPT:GIT"),
    "REGISTRY:MSG": ("Registered", "REGISTERED"),
    "IOC:HOST": ("IOC started", "IOC:STARTTIME"),
}


def instance_screen() -> str:
    """Return the screen of one instance, for the macros P and NAME."""
    screen = Screen(f"Background script {INSTANCE}", 1034)
    screen.label(INSTANCE, MARGIN, 5, WIDE, size=20)
    screen.status(_pv("STATUS"), MARGIN, 50, LABEL, 54, 16)
    screen.long(_pv("STATUS:MSG"), INDENT, 50, WIDTH - INDENT - MARGIN, 54)
    x = MARGIN
    for record in RECORDS:
        if record.choices == DONE_BUSY and record.writable:
            asks = ASKED.get(record.name, "")
            screen.command(_pv(record.name), record.name.capitalize(), x, 112, asks)
            x += 100
    screen.switch(_pv("AUTORESTART"), "Autorestart", x, 112, 140)
    screen.progress(_pv("PROGRESS"), x + 150, 112, WIDTH - MARGIN - x - 150)
    screen.label("Message", MARGIN, 150, LABEL)
    screen.long(_pv("MESSAGE"), INDENT, 150, WIDTH - INDENT - MARGIN, 36)
    screen.label("Last error", MARGIN, 192, LABEL)
    screen.long(_pv("ERROR"), INDENT, 192, WIDTH - INDENT - MARGIN, 36)
    for (x, width), facts in zip(PLACES, COLUMNS, strict=True):
        for row, (text, name) in enumerate(facts):
            y, add = 236 + row * LINE, screen.duration if name == "UPTIME" else screen.value
            screen.label(text, x, y, LABEL)
            add(_pv(name), x + INDENT - MARGIN, y, width)
    for row, (text, name) in enumerate(LINES):
        y, beside = 236 + (5 + row) * LINE, BESIDE.get(name)
        screen.label(text, MARGIN, y, LABEL)
        width = WIDTH - INDENT - MARGIN
        x, _ = PLACES[1 if name == "IOC:HOST" else 2]  # a time is wider than the last column
        screen.value(_pv(name), INDENT, y, x - 160 if beside else width, text=True)
        if beside:
            screen.label(beside[0], x, y, LABEL)
            at = x + INDENT - MARGIN
            screen.value(_pv(beside[1]), at, y, WIDTH - MARGIN - at)
    for x, name, text in (
        (MARGIN, "TRACEBACK", "Traceback of the last error"),
        (
            WIDTH // 2 + MARGIN,
            "STACK:TEXT",
            "Stacks of the threads (after Stack, or a missed heartbeat)",
        ),
    ):
        screen.label(text, x, 502, WIDTH // 2 - 2 * MARGIN)
        screen.long(_pv(name), x, 524, WIDTH // 2 - 2 * MARGIN, 110, fixed=True)
    screen.label("Newest output", MARGIN, 638, WIDE)
    screen.long(_pv("LOG"), MARGIN, 660, WIDE, 234, fixed=True, align=BOTTOM)
    screen.label("Newest runs", MARGIN, 898, WIDE)
    screen.long(_pv("HISTORY:TEXT"), MARGIN, 920, WIDE, 104, fixed=True)
    return screen.text()


def overview(prefix: str, names: Sequence[str]) -> str:
    """Return the overview of these instances: a row for each, with a button that opens its screen.

    `prefix` may be the macro `$(P)`. The screens must be in the same directory as the overview.
    """
    screen = Screen(f"Background scripts of {prefix}", 80 + len(names) * ROW + MARGIN)
    screen.label(f"Background scripts of {prefix}", MARGIN, 5, WIDE, size=20)
    x = {"STATUS": 150, "UPTIME": 250, "RESTARTS": 340, "STATUS:MSG": 410, "MESSAGE": 745}
    for text, at, width in (
        ("State", x["STATUS"], 90),
        ("Uptime", x["UPTIME"], 80),
        ("Restarts", x["RESTARTS"], 65),
        ("Reason", x["STATUS:MSG"], 330),
        ("Message", x["MESSAGE"], 245),
    ):
        screen.label(text, at, 55, width)
    for row, name in enumerate(names):
        y, pv = 80 + row * ROW, f"{prefix}{name}:"
        screen.opener(prefix, name, MARGIN, y, 130, ROW - 6)
        screen.status(f"{pv}STATUS", x["STATUS"], y, 90, ROW - 6, 14)
        screen.duration(f"{pv}UPTIME", x["UPTIME"], y, 80, ROW - 6)
        screen.value(f"{pv}RESTARTS", x["RESTARTS"], y, 60, ROW - 6)
        screen.long(f"{pv}STATUS:MSG", x["STATUS:MSG"], y, 325, ROW - 6)
        screen.long(f"{pv}MESSAGE", x["MESSAGE"], y, 245, ROW - 6)
    return screen.text()


def shipped() -> Mapping[str, str]:
    """Return the screens that are installed, in db/: name -> text."""
    return {SCREEN: instance_screen(), OVERVIEW: overview("$(P)", NUMBERED)}


def _pv(name: str) -> str:
    return f"{INSTANCE}:{name}"


def _add(parent: ET.Element, **properties: str | int) -> None:
    for name, value in properties.items():
        ET.SubElement(parent, name).text = str(value)


def _font(widget: ET.Element, size: int, style: str, family: str = "Liberation Sans") -> None:
    font = ET.SubElement(widget, "font")
    ET.SubElement(font, "font", family=family, style=style, size=f"{size}.0")


def _colour(parent: ET.Element, colour: Colour) -> None:
    red, green, blue = map(str, colour)
    ET.SubElement(parent, "color", red=red, green=green, blue=blue)
