"""How procServ runs an IOC: by hand, by manage-procs, and with the machine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import join

from bgrscrpt_ioc.deploy import systemd
from bgrscrpt_ioc.deploy.site import Site

NAME = "bgrscrpt"
CONSOLE_LOG = "/var/log/bgrscrpt/console.log"  # in the directory that the unit makes for its user
TERM = "15"  # procServ's own choice is SIGKILL, by which `finally:` of scripts does not run

LINE = """\
#!/bin/sh
# Made by `bgrscrpt-ioc deploy procserv` from {config}.
# procServ starts the IOC again when the IOC ends: no client restarts an IOC that is gone. The IOC
# itself restarts the scripts. Add --noautorestart where something else decides, as procServControl.
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
# Made by `bgrscrpt-ioc deploy procserv` from {config}: for /etc/procServ.d, then
# `systemctl daemon-reload`. Its user needs a `state_dir` in the settings that the user may write.
# manage-procs sets procServ's options itself: ^X on the console is a SIGKILL.
[{name}]
command = {command}
chdir = /
user = {user}
port = {port}
"""


def line(site: Site) -> list[str]:
    """Return procServ's command line; the console is for this host alone."""
    options = ["--name", NAME, "--ignore", "^D^C", "--killsig", TERM, "--holdoff", "5"]
    return ["procServ", *options, "--logfile", site.log, str(site.console), *site.command]


def files(site: Site) -> dict[str, str]:
    """Return the files: a script by hand, an entry of manage-procs, a unit to start at boot."""
    return {
        "bgrscrpt-procserv.sh": script(site),
        f"{NAME}.conf": managed(site),
        "bgrscrpt-procserv.service": service(site),
    }


def script(site: Site) -> str:
    """Return the shell script that starts procServ."""
    return LINE.format(config=systemd.one_line(str(site.config)), line=join(line(site)))


def service(site: Site) -> str:
    """Return the unit that starts procServ with the machine."""
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
    """Return the entry of manage-procs, which reads it with Python's configparser."""
    return MANAGED.format(
        config=systemd.one_line(str(site.config)),
        name=NAME,
        command=join(site.command).replace("%", "%%"),
        user=site.user,
        port=site.console,
    )


def _in_foreground(words: Sequence[str]) -> list[str]:
    return ["/usr/bin/procServ", "--foreground", *words[1:]]
