"""The page of the command line, made from the parser; not from its help, which each Python prints anew."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bgrscrpt_ioc.cli.parser import parser

LACKING = 1  # a command without so many options of another one still refers to that

PAGE = """# Commands

{made}
The program is `bgrscrpt-ioc COMMAND ...`, or `python -I -m bgrscrpt_ioc COMMAND ...`. `--help` after a command prints what this
page says about the command. [Settings](settings.md) describes the options that are settings.

{commands}
## Which instances `status` shows

| command | instances |
|---|---|
| `status` | all that IOCs on this host serve |
| `status TE:NDW1234: TE:NDW5678:` | all with these prefixes that IOCs on this host serve |
| `status --fleet FILE` | all of the IOCs in the file, on any host, and the others that these IOCs serve |
| `status --registry URL` | all that the IOC registry has, and the others that their IOCs serve |
| `status --config FILE` | all of the file, on whatever host their IOC runs |
| `status --name NAME` | this one, with the prefix and the port that you give |

`--port`, `EPICS_CAS_SERVER_PORT` or `EPICS_CA_SERVER_PORT`, if set, leaves out the IOCs at other ports. If no IOC on this host
serves such an instance, `status` asks for `BGRSCRPT_01` at the addresses of `EPICS_CA_ADDR_LIST`, and for the other instances
that its IOC names. [Watch many IOCs](../how-to/watch-many-iocs.md) describes the fleet file, `--watch`, and `status` as a
probe.

On a terminal, `status` prints a line for each instance, in the colour of its alarm severity, and the reason below the line.
`NO_COLOR` or `TERM=dumb` switches the colours off. If the terminal has no room for a column, the column is left out. The
pages for [80 columns](terminal-80.md) and [200 columns](terminal-200.md) show what each command prints.

In a pipe, `status` prints the same columns at any width, one line for each instance: `UPTIME` in seconds, `CPU` in %, `MEMORY`
in MB, and the reason last. `STATUS` is one word; it is `Hung` for a script that runs without its heartbeat. `--json` prints all
readings and the alarm severity. As a probe, use the exit code:
`bgrscrpt-ioc status --config FILE >/dev/null || echo "look at the background scripts"`.

## Where `log` reads

On the host of the IOC, `log` reads the log file that the PV `LOG:FILE` names: all lines, with `--stamps` and `--since`. Lines
that begin with `---` are remarks of the IOC. If the file cannot be read, or the IOC runs on another host, `log` reads the PV
`LOG`. With `--follow`, `log` then says how many lines came too fast to be shown.

If no IOC answers, `log` looks for a log file of the instance in the log directory of this host (`log_dir` of `--config`,
`--log-dir`, or the default). It prints the lines of that file and says on stderr that no IOC answers. With `--follow`, `log`
then waits for the IOC.

## Exit codes

| code | meaning |
|---|---|
| 0 | The command has done its work. `run`: SIGTERM, SIGINT, or SIGHUP on a terminal has ended the IOC, and all scripts are stopped. |
| 1 | The command has failed, and a line on stderr says why: the commanded state was not reached, no IOC answers, a script is bad, or `run` cannot serve. |
| 2 | The command line or a setting is wrong. Nothing was done. `reload`: the file is refused. |
| 3 | `status`: a script is Failed, or runs without its heartbeat. |
| 4 | `status`: no IOC answers for an instance, and no script of the others is Failed or hung. |
| 130 | `^C` has ended a command that was waiting. |
| 141 | Nobody reads the output of the command any more, as in `bgrscrpt-ioc log NAME \\| head`. |

## Completion

`eval "$(bgrscrpt-ioc completion bash)"` in `~/.bashrc` completes commands, options and paths in bash. For zsh, write
`bgrscrpt-ioc completion zsh` to a file `_bgrscrpt-ioc` in a directory of `$fpath`.
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
        title += " [-- ARG ...]" if name in ("run", "check") else ""
        text = f"## `{title}`\n\n{command.description}\n"
        alike = (each for each in known if flags <= each and len(each - flags) <= LACKING)
        if flags and (more := next(alike, None)):
            without = "".join(f", but for `{each}`" for each in sorted(more - flags))
            text += f"\nThe options are those of `{known[more]}`{without}.\n"
        elif flags:
            known[flags] = name
            text += "\n" + table(options)
        yield text


def subcommands(top: argparse.ArgumentParser, of: str = "") -> dict[str, argparse.ArgumentParser]:
    """The parsers of the commands, in the order of the help; each before those below it."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                found |= {f"{of}{name}": command} | subcommands(command, f"{of}{name} ")
    return found


def table(options: list[argparse.Action]) -> str:
    """One line for each argument and option."""
    lines = ["| option | meaning |", "|---|---|"]
    for each in options:
        if each.option_strings or each.help:
            shown = spelled(each).replace("|", "\\|")
            lines.append(f"| `{shown}` | {described(each)} |")
    return "\n".join(lines) + "\n"


def described(action: argparse.Action) -> str:
    """What an argument means, as Markdown; argparse doubles each `%`."""
    return (action.help or "").replace("%%", "%").replace("|", "\\|")


def spelled(action: argparse.Action) -> str:
    """An argument as one writes it."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return {"?": f"[{value}]", "+": f"{value} ..."}.get(str(action.nargs), value)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"
