"""The command line, `bgrscrpt-ioc`: runs one command and returns its exit code.

It must start fast, because `run` is part of boot sequences. So each command imports only what it
needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bgrscrpt_ioc.cli.parser import parse
from bgrscrpt_ioc.cli.printing import OutputError
from bgrscrpt_ioc.config.load import ConfigError
from bgrscrpt_ioc.host.streams import UNREAD, complain, discard_output
from bgrscrpt_ioc.lifecycle.events import CommandFailed

FAILED = 1
WRONG_USE = 2  # exit code of a command or configuration that cannot be understood
INTERRUPTED = 130  # as shells report SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    If output cannot be written, that is printed on stderr, and the exit code is 1. If the reader
    has gone, as `head` does, nothing is printed, and the exit code is that of SIGPIPE.
    """
    try:
        try:
            return _run(argv)
        finally:
            _flush()
    except OutputError as error:
        discard_output()
        if isinstance(error.__cause__, BrokenPipeError):
            return UNREAD
        complain(f"bgrscrpt-ioc: {error}")
        return FAILED


def _run(argv: Sequence[str] | None) -> int:
    arguments = parse(argv)
    try:
        return arguments.act(arguments)
    except ConfigError as error:
        complain(error)
        return WRONG_USE
    except CommandFailed as error:
        complain(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _flush() -> None:
    """Write what stdout still holds. It is done here, where a failure can be reported."""
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError.of(error) from error
