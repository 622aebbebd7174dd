"""A terminal of a given size, in which a program runs as a person sees it: tmux."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.rig.iocs import until


class Terminal:
    """A tmux server of its own, whose windows have `width` x `height` characters."""

    def __init__(self, socket: Path, width: int, height: int) -> None:
        self._socket, self._size = socket, ("-x", str(width), "-y", str(height))
        self._count = 0
        config = socket.with_suffix(".conf")
        config.write_text(
            "set -g remain-on-exit on\nset -g remain-on-exit-format ''\nset -g status off\n"
            "set -g history-limit 10000\nset -g default-terminal tmux-256color\n"
            "set -g exit-empty off\n"
        )
        self._tmux("-f", str(config), "start-server")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def run(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        cwd: Path,
        interrupt_at: Callable[[str], bool] | None = None,
        *,
        live: bool = False,
    ) -> tuple[str, int]:
        """Run a program to its end; return what can be read then, by scrolling, and its exit code.

        `interrupt_at`: press ^C when the text is such. `live`: return that text, which is gone from
        the screen at the end.
        """
        self._count += 1
        name = f"w{self._count}"
        # The terminal's size is to be its own; and tmux has its own mind on PATH.
        kept = (each for each in environ.items() if each[0] not in ("COLUMNS", "LINES"))
        variables = ["env", "-u", "COLUMNS", "-u", "LINES", *map("=".join, kept)]
        # tmux does not always learn how a program ended.
        ended = self._socket.with_suffix(f".{name}")
        shell = ("sh", "-c", 'trap : INT; "$@"; echo $? >"$0"', str(ended), *variables, *command)
        self._tmux("new-session", "-d", "-s", name, *self._size, "-c", str(cwd), "--", *shell)
        before = ""
        if interrupt_at is not None:
            before = until(lambda: interrupt_at(text := self._text(name)) and text)
            self._tmux("send-keys", "-t", name, "C-c")
        try:
            until(lambda: self._tmux("display", "-p", "-t", name, "#{pane_dead}") == "1\n")
        except AssertionError as error:
            raise AssertionError(f"{command} does not end:\n{self._text(name)}") from error
        code = int(ended.read_text())
        text = self._text(name)
        self._tmux("kill-session", "-t", name)
        return before if live else text, code

    def _text(self, name: str) -> str:
        return self._tmux("capture-pane", "-p", "-J", "-t", name, "-S", "-").rstrip()

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-u", "-S", self._socket, *arguments],
            env={**os.environ, "TMUX": ""},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
