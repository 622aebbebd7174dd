"""Makes the pages of what commands print, and compares them with those that are kept."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from commands_page import subcommands

from benchmarks.rig.ca import free_port
from bgrscrpt_ioc.cli.parser import parser
from tests.terminal.scenes import INTRO, Scene, scenes
from tests.terminal.site import Site
from tests.terminal.tmux import Terminal

SIZES = {80: 24, 200: 50}
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
HELP = "Help"

BLOCK = re.compile(r"^```text\n\$ (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WAITS = re.compile(r"\S+:\s(?:start|stop|restart|check):\swaiting\s.*?at\smost\n", re.DOTALL)
DURATION = re.compile(r"\b\d+ (s|min|h|d)( \d+ (s|min|h))?\b")
NUMBER = re.compile(r"\b0x[0-9a-f]+|\d+")


def page_of(width: int) -> Path:
    """Return the path of the page of a terminal."""
    return REFERENCE / f"terminal-{width}.md"


class Pictures:
    """A person who gives commands at a site, on a terminal of `width` columns."""

    def __init__(self, site: Site, terminal: Terminal, width: int) -> None:
        self._site, self._terminal, self._width = site, terminal, width
        self._other = str(free_port())

    def of(self, scene: Scene) -> str:
        """Give the command; return what is to be read then.

        Raises:
            AssertionError: it ends otherwise than it should.
        """
        environ = self._site.environ(
            **{key: value.replace("OTHER_PORT", self._other) for key, value in scene.environ}
        )
        environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        text, code = self._terminal.run(
            ["bash", "-c", scene.line],
            environ,
            self._site.directory,
            scene.interrupt,
            live=scene.live,
        )
        assert code == scene.code, f"$ {scene.line}\n{text}"
        return self._as_elsewhere(text)

    def _as_elsewhere(self, text: str) -> str:
        """Name what is this machine's as it is called elsewhere, and break lines as there."""
        for own, other in (
            (str(self._site.directory), "/data/ndw1234"),
            (str(Path(sys.prefix)), "/opt/bgrscrpt"),
            (str(Path(__file__).parents[2]), "/opt/bgrscrpt"),
            (f"{getpass.getuser()}@{socket.gethostname()}", "alice@cabin"),
            (str(self._site.ioc.port), "5064"),
            (self._other, "5064"),
        ):
            text = text.replace(own, other)
        text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "cabin", text)
        return "".join(f"{line}\n" for line in self._broken(text))

    def _broken(self, text: str) -> Iterator[str]:
        for line in text.splitlines():
            for at in range(0, max(1, len(line)), self._width):
                yield line[at : at + self._width].rstrip()


def helps() -> list[Scene]:
    """Return the commands that print the help of each command."""
    names = ["", *subcommands(parser())]
    return [Scene(f"bgrscrpt-ioc {name} --help".replace("  ", " ")) for name in names]


def page(pictures: Pictures, width: int) -> Iterator[str]:
    """Return the text of the whole page."""
    other = next(each for each in SIZES if each != width)
    yield INTRO.format(width=width, height=SIZES[width], other=other, page=page_of(other).name)
    for each in [*scenes(), HELP, *helps()]:
        if isinstance(each, str):
            yield f"## {each}\n"
            continue
        if each.text:
            yield f"{each.text}\n"
        yield f"```text\n$ {each.line}\n{pictures.of(each)}```\n"
        if each.code:
            yield f"Exit code {each.code}.\n"


def kept(width: int) -> dict[str, str]:
    """Return what the kept page has: command -> printed text."""
    return dict(BLOCK.findall(page_of(width).read_text(encoding="utf-8")))


def alike(text: str) -> list[str]:
    """The words of a picture, with what is another each time as a zero, wherever lines break.

    That a command waits is left out: on a busy machine each of them says so.
    """
    return NUMBER.sub("0", DURATION.sub("0 s", WAITS.sub("", text))).split()
