"""Makes the files by which procServ runs an IOC: a script, a manage-procs entry, a unit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import join

from bgrscrpt_ioc.deploy import systemd
from bgrscrpt_ioc.deploy.site import Site

NAME = "bgrscrpt"
CONSOLE_LOG = "/var/log/bgrscrpt/console.log"  # in the log directory that the unit makes
TERM = "15"  # procServ's default is SIGKILL, after which no `finally:` of a script runs

LINE = """\
#!/bin/sh
# Made by `bgrscrpt-ioc deploy procserv` from {config}.
# procServ starts the IOC again when the IOC ends, because no client can. The IOC restarts the
# scripts. Add --noautorestart if another program restarts the IOC, such as procServControl.
exec {line}
"""

SERVICE = """\
# Made by `bgrscrpt-ioc deploy procserv` from {config}.

[Unit]
Description=Background scripts{of}, under procServ
After={after}
Wants=network-online.target

[Service]
Type=exec
ExecStart={line}
User={user}
StateDirectory=bgrscrpt
LogsDirectory=bgrscrpt
Environment=ICPVARDIR=%S/bgrscrpt
{environment}Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec={stop}

[Install]
WantedBy=multi-user.target
"""

MANAGED = """\
# Made by `bgrscrpt-ioc deploy procserv` from {config}.
# Copy this file to /etc/procServ.d, then run `systemctl daemon-reload`. Set `state_dir` in the
# settings to a directory that the user below may write. manage-procs sets procServ's options: ^X on
# the console sends SIGKILL.
[{name}]
command = {command}
chdir = /
user = {user}
port = {port}
"""


def line(site: Site) -> list[str]:
    """Return procServ's command line. Its console accepts connections from this host alone."""
    options = ["--name", NAME, "--ignore", "^D^C", "--killsig", TERM, "--holdoff", "5"]
    return ["procServ", *options, "--logfile", site.log, str(site.console), *site.command]


def files(site: Site) -> dict[str, str]:
    """Return the files by name: a shell script, an entry for manage-procs, a unit for the boot."""
    return {
        "bgrscrpt-procserv.sh": script(site),
        f"{NAME}.conf": managed(site),
        "bgrscrpt-procserv.service": service(site),
    }


def script(site: Site) -> str:
    """Return the shell script that starts procServ."""
    return LINE.format(config=systemd.one_line(str(site.config)), line=join(line(site)))


def service(site: Site) -> str:
    """Return the systemd unit that starts procServ when the machine starts."""
    return SERVICE.format(
        config=systemd.one_line(str(site.config)),
        of=systemd.of(site),
        after=systemd.after(site),
        line=systemd.command(_in_foreground(line(replace(site, log=CONSOLE_LOG)))),
        user=site.user,
        environment=systemd.environment(site),
        stop=systemd.stop_timeout(site),
    )


def managed(site: Site) -> str:
    """Return the entry for manage-procs, which reads the entry with Python's configparser."""
    return MANAGED.format(
        config=systemd.one_line(str(site.config)),
        name=NAME,
        command=join(site.command).replace("%", "%%"),
        user=site.user,
        port=site.console,
    )


def _in_foreground(words: Sequence[str]) -> list[str]:
    return ["/usr/bin/procServ", "--foreground", *words[1:]]
