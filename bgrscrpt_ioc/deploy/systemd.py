"""The unit by which systemd runs an IOC, and the quoting of units. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bgrscrpt_ioc.deploy.site import Site

UNIT = "bgrscrpt.service"
WATCHDOG = 30  # s without a sign of life after which systemd ends and restarts the IOC
_PLAIN = re.compile(r"[\w@+=:,./-]+", re.ASCII)
_LATE = 30  # s for registry and log files, which the IOC gives 10, and for a busy host

SERVICE = """\
# Made by `bgrscrpt-ioc deploy systemd` from {config}.

[Unit]
Description=Background scripts{of}
After={after}
Wants=network-online.target
StartLimitIntervalSec=0
# If the configuration is refused, the unit fails. A unit that tells somebody:
# OnFailure=tell-somebody@%n.service

[Service]
Type=notify
ExecStart={command}
ExecReload={reload}
User={user}
StateDirectory=bgrscrpt
Environment=ICPVARDIR=%S/bgrscrpt
{environment}Restart=always
RestartSec=2
RestartPreventExitStatus=2
WatchdogSec={watchdog}
KillMode=mixed
TimeoutStopSec={stop}

# These hold for the scripts too. `systemctl edit bgrscrpt` takes one back, as in PrivateTmp=no.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=full
ProtectHome=read-only
{writable}PrivateTmp=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
{groups}
ProtectHostname=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=~@clock @cpu-emulation @module @mount @obsolete @raw-io @reboot @swap

[Install]
WantedBy=multi-user.target
"""


def service(site: Site) -> str:
    """Return the unit of the IOC."""
    return SERVICE.format(
        config=one_line(str(site.config)),
        of=of(site),
        after=after(site),
        command=command(site.command),
        reload=f"{command([*site.program, 'reload', '--pid'])} $MAINPID",
        user=site.user,
        environment=environment(site),
        watchdog=WATCHDOG,
        stop=stop_timeout(site),
        writable=f"ReadWritePaths={words('-' + each for each in site.writable)}\n"
        if site.writable
        else "",
        # Delegated control groups are written by the IOC.
        groups="Delegate=yes" if site.limited else "ProtectControlGroups=yes",
    )


def of(site: Site) -> str:
    """Return what a unit's description says of the instrument."""
    return f" of {specifiers(site.prefix)}" if site.prefix else ""


def after(site: Site) -> str:
    """Return the units that are to be started before, if they are."""
    database = " mariadb.service mysql.service" if site.database else ""
    return f"network-online.target{database}"


def environment(site: Site) -> str:
    """Return the lines that name the file of the variables that the settings refer to."""
    if not site.variables:
        return ""
    file = specifiers(str(site.config.with_suffix(".env")))
    return (
        f"# The settings refer to {', '.join(site.variables)}: write NAME=VALUE lines into this"
        f" file, readable by root alone.\nEnvironmentFile=-{file}\n"
    )


def stop_timeout(site: Site) -> int:
    """Return the seconds that all scripts and the IOC may take to end."""
    return max(60, round(3 * site.stop_timeout) + _LATE)  # SIGINT, SIGTERM, SIGKILL


def command(line: Iterable[str]) -> str:
    """Quote a command line for `ExecStart=`, where `$` starts a variable in arguments."""
    program, *arguments = line
    return " ".join(
        [
            _word(specifiers(program)),
            *(_word(specifiers(each).replace("$", "$$")) for each in arguments),
        ]
    )


def words(texts: Iterable[str]) -> str:
    """Quote a list, as of paths."""
    return " ".join(_word(specifiers(each)) for each in texts)


def specifiers(text: str) -> str:
    """Write `%` so that systemd takes it for itself."""
    return text.replace("%", "%%")


def one_line(text: str) -> str:
    """Write text that stands in a comment: no character of it ends the line."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each >= " " else f"\\x{ord(each):02x}" for each in escaped) + '"'
