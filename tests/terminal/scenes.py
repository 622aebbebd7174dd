"""What a person does at a site, command after command: the pages `docs/reference/terminal-*.md`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

INTRO = """# What commands print on a terminal of {width} x {height}

Each block is what the real command printed on such a terminal, in a test that runs all of them against a real
IOC. Colours are left out. Times, pids and paths are those of that test. [commands.md](commands.md) describes the
commands and their options; see also [the same on {other} columns]({page}).

The IOC of these pages serves six instances. `BGRSCRPT_01` runs, `BGRSCRPT_02` has failed, `BGRSCRPT_03` has
stopped to say that it is alive, `BGRSCRPT_04` waits for its next start, `BGRSCRPT_05` takes 1.5 s to end, and
`BGRSCRPT_06` has come to its end.
"""  # noqa: E501 - a page


@dataclass(frozen=True)
class Scene:
    """One command, the text above it, its exit code, and its environment.

    `until`: press ^C when this has been printed. `live`: show what was seen before ^C.
    `mixed`: the IOC and its script print at one time, whichever comes first.
    """

    line: str
    text: str = ""
    code: int = 0
    until: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    live: bool = False
    mixed: bool = False

    @property
    def interrupt(self) -> Callable[[str], bool] | None:
        """When to press ^C."""
        return (lambda printed: self.until in printed) if self.until else None


CONFIG = "--config instrument.toml"
OTHER = (("EPICS_CAS_SERVER_PORT", "OTHER_PORT"), ("EPICS_CA_SERVER_PORT", "OTHER_PORT"))


def scenes(*, brief: bool = False) -> list[str | Scene]:
    """Return headings and scenes of the page; each scene needs the ones before it."""
    return SEEN if brief else [*SEEN, *DONE]


SEEN: list[str | Scene] = [
    "See what runs",
    Scene(
        f"bgrscrpt-ioc status {CONFIG}",
        "All instances of a file. The exit code is 3, because one has failed and one is hung.",
        3,
    ),
    Scene(
        "bgrscrpt-ioc status",
        "All instances of all IOCs on this host, with their prefixes.",
        3,
    ),
    Scene(
        f"bgrscrpt-ioc status {CONFIG} --name BGRSCRPT_03 --json",
        "One instance, for a program.",
        3,
    ),
    Scene(
        "bgrscrpt-ioc status --prefix TE:NOBODY: --port 6064",
        "An instance for which no IOC answers.",
        4,
    ),
    Scene(
        "bgrscrpt-ioc status TE:NDW1234: TE:NDW5678:",
        "All instances of some prefixes.",
        3,
    ),
    Scene(
        "bgrscrpt-ioc status --fleet fleet.toml",
        "All instances of the IOCs of a fleet, on whatever hosts.",
        3,
    ),
    Scene(
        "bgrscrpt-ioc status --registry sqlite:///$PWD/state/iocdb.sqlite",
        "The instances that the IOC registry has, and the others of their IOCs.",
        3,
    ),
    Scene(
        f"bgrscrpt-ioc status {CONFIG} --watch",
        "The states as they change, until `^C`; those that need somebody come first.",
        130,
        "exit 0",
        live=True,
    ),
    Scene(f"bgrscrpt-ioc info BGRSCRPT_01 {CONFIG}", "All readings of an instance."),
    Scene(
        f"bgrscrpt-ioc info BGRSCRPT_02 {CONFIG}",
        "Those of one that failed: the traceback too.",
    ),
]
DONE: list[str | Scene] = [
    "Read what a script printed",
    Scene(
        f"bgrscrpt-ioc log BGRSCRPT_01 {CONFIG}",
        "Lines that begin with `---` are the IOC's.",
    ),
    Scene(f"bgrscrpt-ioc log BGRSCRPT_02 {CONFIG} --stamps -n 5"),
    Scene(f"bgrscrpt-ioc log BGRSCRPT_01 {CONFIG} --since 1h -n 2"),
    Scene(
        f"bgrscrpt-ioc log BGRSCRPT_01 {CONFIG} -f",
        "New output as it comes, until `^C`.",
        130,
        "step 1",
    ),
    Scene(
        f"bgrscrpt-ioc log BGRSCRPT_01 {CONFIG} --since soon",
        "A time that cannot be understood.",
        1,
    ),
    "Find out why",
    Scene(
        f"bgrscrpt-ioc stack BGRSCRPT_03 {CONFIG}",
        "Where a script is that does not say that it is alive.",
    ),
    Scene(f"bgrscrpt-ioc history BGRSCRPT_02 {CONFIG}", "The newest runs, and how they ended."),
    Scene(
        f"echo 'print(2)' >>network.py; bgrscrpt-ioc diff BGRSCRPT_04 {CONFIG} --state-dir state",
        "What has changed in a script since its newest run.",
    ),
    "Start and stop",
    Scene(
        f"bgrscrpt-ioc stop BGRSCRPT_05 {CONFIG}",
        "A command that takes longer than a second says what it waits for.",
    ),
    Scene(f"bgrscrpt-ioc status --name BGRSCRPT_05 {CONFIG}"),
    Scene(f"bgrscrpt-ioc start BGRSCRPT_05 {CONFIG}", "Nothing is printed when all went well."),
    Scene(f"bgrscrpt-ioc restart BGRSCRPT_05 {CONFIG} --settle 2"),
    Scene(
        f"bgrscrpt-ioc restart BGRSCRPT_02 {CONFIG} --settle 5",
        "`--settle` fails if the script does not stay up.",
        1,
    ),
    Scene(f"bgrscrpt-ioc stop BGRSCRPT_05 {CONFIG} --timeout 1", "Too little time.", 1),
    Scene(f"bgrscrpt-ioc start BGRSCRPT_09 {CONFIG}", "A name that is not in the file.", 2),
    Scene(f"bgrscrpt-ioc autorestart BGRSCRPT_01 off {CONFIG}"),
    Scene(f"bgrscrpt-ioc autorestart BGRSCRPT_01 on {CONFIG}"),
    "Check before a start",
    Scene(f"bgrscrpt-ioc check BGRSCRPT_01 {CONFIG}", "The IOC checks the file that it runs."),
    Scene("bgrscrpt-ioc check steps.py", "Without an IOC."),
    Scene(
        "echo 'print(1' >wrong.py; bgrscrpt-ioc check wrong.py",
        "A script that does not compile.",
        1,
    ),
    Scene(f"bgrscrpt-ioc check {CONFIG}", "All scripts of a file, and what else `run` needs."),
    "Run",
    Scene(
        "bgrscrpt-ioc run once.py --prefix TE:ME:",
        "In the foreground, until `^C`.",
        0,
        "done",
        OTHER,
    ),
    Scene(
        "bgrscrpt-ioc run nowhere.py --prefix TE:ME:",
        "A script that does not exist.",
        0,
        "Backoff",
        OTHER,
        mixed=True,
    ),
    Scene(
        "bgrscrpt-ioc run --prefix TE:ME: --backoff soon",
        "All mistakes are told at once.",
        2,
    ),
    Scene("bgrscrpt-ioc run once.py --prefix TE:ME: --list-pvs | head -6"),
    "The IOC registry",
    Scene(f"bgrscrpt-ioc registry {CONFIG} --state-dir state"),
    Scene("bgrscrpt-ioc registry --registry sqlite:////nowhere/iocdb.sqlite", "", 1),
    "Files for other tools",
    Scene("bgrscrpt-ioc files"),
    Scene("bgrscrpt-ioc files iocdb.sql"),
    Scene("bgrscrpt-ioc db | head -16"),
    Scene(f"bgrscrpt-ioc deploy screens {CONFIG} | head -12"),
    Scene(f"bgrscrpt-ioc deploy alarms {CONFIG} | head -12"),
    Scene(f"bgrscrpt-ioc deploy archive {CONFIG} | head -4"),
    Scene("bgrscrpt-ioc completion bash | head -4"),
    "Mistakes",
    Scene("bgrscrpt-ioc fly", "", 2),
    Scene("bgrscrpt-ioc stop", "", 2),
]
