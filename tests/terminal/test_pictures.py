"""The pages of what commands print on a terminal show what they print.

`BGRSCRPT_WRITE_PICTURES=1` writes the pages anew: look at them before you commit them.
"""

from __future__ import annotations

import os
import shutil

import pytest
from commands_page import subcommands

from bgrscrpt_ioc.cli.parser import parser
from tests.terminal import pages
from tests.terminal.pages import SIZES, Pictures, alike, kept
from tests.terminal.scenes import Scene, scenes
from tests.terminal.site import Site
from tests.terminal.tmux import Terminal

WRITE = bool(os.environ.get("BGRSCRPT_WRITE_PICTURES"))


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: run `make system`")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("width", SIZES)
def test_what_commands_print(width: int) -> None:
    """On such a terminal every command prints what its page shows, and has its exit code.

    Of the wider one the commands are compared whose lines depend on the width most.
    """
    with Site() as site, Terminal(site.directory / "tmux", width, SIZES[width]) as terminal:
        pictures = Pictures(site, terminal, width)
        if WRITE:
            pages.page_of(width).write_text("\n".join(pages.page(pictures, width)))
        else:
            shown = kept(width)
            for scene in scenes(brief=width > 80):
                if isinstance(scene, Scene):
                    order = sorted if scene.mixed else list
                    printed, page = alike(pictures.of(scene)), alike(shown[scene.line])
                    assert order(printed) == order(page), scene.line


@pytest.mark.parametrize("width", SIZES)
def test_help(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages have the help of every command, in the words of today; Pythons punctuate it."""
    monkeypatch.setenv("COLUMNS", str(width))
    shown = kept(width)
    top = parser()
    for name, command in {"": top, **subcommands(top)}.items():
        picture = shown[f"bgrscrpt-ioc {name} --help".replace("  ", " ")]
        assert words(picture) == words(command.format_help())


def words(text: str) -> set[str]:
    return {each.strip(",[]") for each in text.split()}
