"""Makes the unit by which systemd runs an IOC, and quotes text for units. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bgrscrpt_ioc.deploy.site import Site

UNIT = "bgrscrpt.service"
WATCHDOG = 30  # s without a sign of life after which systemd ends and restarts the IOC
_PRIVATE = ("/tmp/", "/var/tmp/")  # noqa: S108 - PrivateTmp= shows empty ones to a service
_PLAIN = re.compile(r"[\w@+=:,./-]+", re.ASCII)
_LATE = 30  # s for the registry and log files, for which the IOC waits 10 s, and for a busy host

SERVICE = """\
# Made by `bgrscrpt-ioc deploy systemd` from {config}.

[Unit]
Description=Background scripts{of}
After={after}
Wants=network-online.target
StartLimitIntervalSec=0
# The unit fails if the configuration is refused. To start a unit of yours that tells somebody:
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

# These lines apply to the scripts too. To undo one, add a line such as PrivateTmp=no by
# `systemctl edit bgrscrpt`.
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
        # The IOC writes to delegated control groups.
        groups="Delegate=yes" if site.limited else "ProtectControlGroups=yes",
    )


def unseen(site: Site) -> list[str]:
    """Return the paths of the IOC and its settings that PrivateTmp= hides from the service."""
    paths = [site.program[0], str(site.config), *site.scripts, *site.writable]
    return [each for each in dict.fromkeys(paths) if each.startswith(_PRIVATE)]


def of(site: Site) -> str:
    """Return the part of a unit's description that names the instrument."""
    return f" of {specifiers(site.prefix)}" if site.prefix else ""


def after(site: Site) -> str:
    """Return the units after which systemd starts the IOC, if these units are started."""
    database = " mariadb.service mysql.service" if site.database else ""
    return f"network-online.target{database}"


def environment(site: Site) -> str:
    """Return the lines for the file with the variables that the settings refer to."""
    if not site.variables:
        return ""
    file = specifiers(str(site.config.with_suffix(".env")))
    return (
        f"# The settings refer to {', '.join(site.variables)}: write a line NAME=VALUE for each"
        f" into this file, which only root may read.\nEnvironmentFile=-{file}\n"
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
    """Quote a list of words, such as paths."""
    return " ".join(_word(specifiers(each)) for each in texts)


def specifiers(text: str) -> str:
    """Escape `%`, which begins a specifier of systemd."""
    return text.replace("%", "%%")


def one_line(text: str) -> str:
    """Return text for a comment: unprintable characters, such as line ends, become `?`."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each >= " " else f"\\x{ord(each):02x}" for each in escaped) + '"'
