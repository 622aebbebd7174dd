"""The page of the command line, made from the parser; not from its help, which each Python prints anew."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bgrscrpt_ioc.cli import parser

PAGE = """# The command line

{made}
`bgrscrpt-ioc COMMAND ...`, or `python -m bgrscrpt_ioc.cli`. `--help` after a command shows the same as this
page. Each setting that is an option here is described in [settings](settings.md), where it comes from too.

{commands}
## Exit codes

| code | it means |
|---|---|
| 0 | done; `run`: ended by SIGTERM, SIGINT or SIGHUP, with all scripts stopped |
| 1 | not done, and a line on stderr says why: the commanded state was not reached, nobody answers, a script is bad, `run` cannot serve |
| 2 | the command line or a setting cannot be understood: nothing was done |
| 130 | `^C` of a command that was waiting |
"""


def commands() -> str:
    """The page, without what says how it was made."""
    return PAGE.replace("{commands}", "\n".join(sections()))


def sections() -> Iterator[str]:
    """One for each command; one that has the options of another before says so."""
    known: dict[frozenset[str], str] = {}
    for name, command in subcommands(parser()).items():
        options = [each for each in command._actions if each.dest != "help"]
        flags = frozenset(spelled(each) for each in options if each.option_strings)
        arguments = [spelled(each) for each in options if not each.option_strings]
        title = " ".join(["bgrscrpt-ioc", name, *arguments, *(["[OPTION ...]"] if flags else [])])
        text = f"## `{title}`\n\n{command.description}\n"
        if more := next((each for each in known if flags and flags <= each), None):
            without = "".join(f", but for `{each}`" for each in sorted(more - flags))
            text += f"\nThe options are those of `{known[more]}`{without}.\n"
        elif flags:
            known[flags] = name
            text += "\n" + table(options)
        yield text


def subcommands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, in the order of the help."""
    found = [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]
    return dict(found[0].choices)


def table(options: list[argparse.Action]) -> str:
    """One line for each argument and option."""
    lines = ["| option | meaning |", "|---|---|"]
    for each in options:
        if each.option_strings or each.help:
            shown = spelled(each).replace("|", "\\|")
            lines.append(f"| `{shown}` | {(each.help or '').replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def spelled(action: argparse.Action) -> str:
    """An argument as one writes it."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return {"?": f"[{value}]", "+": f"{value} ..."}.get(str(action.nargs), value)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"
