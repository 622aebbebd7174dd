"""Makes the boot directories from which ISIS's IBEX starts an IOC for each instance. Pure.

The environment of the instrument is the whole configuration (docs/how-to/install-beside-isis.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

GROUP = "BGRSCRPT"
MOST = 99  # number of instances at most: their names have two digits
BOOT = "ioc/master/BGRSCRPT/iocBoot"  # below ISIS's EPICS directory
UP = ("..",) * 5  # from a boot directory to the EPICS directory
WINDOWS_PYTHON = r"C:\Instrument\Apps\bgrscrpt\Scripts\python.exe"
GLOBALS = "globals.txt.example"

CONFIG = """\
<?xml version="1.0" ?>
<!-- Made by `bgrscrpt-ioc deploy ibex`. -->
<ioc_config xmlns:xi="http://www.w3.org/2001/XInclude">
  <config_part>
    <ioc_desc>Background script {name}</ioc_desc>
    <ioc_details>Runs a Python script, and serves its state and output as PVs.</ioc_details>
    <macros>
      <macro name="SCRIPT_PATH" pattern="^.*$"
             description="Path of the Python script, with / between directories."
             defaultValue="{default}" hasDefault="YES" />
    </macros>
  </config_part>
</ioc_config>
"""

WINDOWS = r"""@echo off
REM Made by `bgrscrpt-ioc deploy ibex`: starts the IOC of {name}.
setlocal
set "MYDIRBLOCK=%~dp0"
set "MYIOCNAME={name}"
call "%~dp0{up}\config_env_base.bat"
if defined HIDEWINDOW %HIDEWINDOW% h

REM Only clients on this computer reach the PVs. The gateway is one of these clients.
set "EPICS_CAS_INTF_ADDR_LIST=127.0.0.1"
set "EPICS_CAS_BEACON_ADDR_LIST=127.255.255.255"

REM MACROS is JSON: the macros of the configuration and of globals.txt.
set "SUPPORT=%EPICS_KIT_ROOT%\support"
set "BIN=master\bin\%EPICS_HOST_ARCH%"
set "GETMACROS=%SUPPORT%\icpconfig\%BIN%\icpconfigGetMacros.exe"
set "PATH=%SUPPORT%\icpconfig\%BIN%;%SUPPORT%\pugixml\%BIN%;%PATH%"
set "PATH=%SUPPORT%\utilities\%BIN%;%SUPPORT%\pcre\%BIN%;%EPICS_KIT_ROOT%\base\%BIN%;%PATH%"
if defined MACROS goto :run
if not exist "%GETMACROS%" goto :run
for /f "usebackq delims=" %%a in (`""%GETMACROS%" %MYIOCNAME%"`) do set "MACROS=%%a"

:run

REM BGRSCRPT_PYTHON is the Python that has the IOC. PYTHON3W is the Python of the script.
if not defined BGRSCRPT_PYTHON set "BGRSCRPT_PYTHON={program}"
cd /d "%~dp0"
"%BGRSCRPT_PYTHON%" -I -m bgrscrpt_ioc run --name %MYIOCNAME%
exit /b %ERRORLEVEL%
"""

POSIX = """\
#!/bin/sh
# Made by `bgrscrpt-ioc deploy ibex`: starts the IOC of {name}.
MYDIRBLOCK=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/ || exit 1
export MYDIRBLOCK MYIOCNAME={name}
top=$MYDIRBLOCK{up}
if [ -f "$top/config_env.sh" ]; then
    # shellcheck source=/dev/null
    . "$top/config_env.sh"
fi

# Only clients on this computer reach the PVs. The gateway is one of these clients.
export EPICS_CAS_INTF_ADDR_LIST=127.0.0.1 EPICS_CAS_BEACON_ADDR_LIST=127.255.255.255

# MACROS is JSON: the macros of the configuration and of globals.txt.
bin=master/bin/${{EPICS_HOST_ARCH:-linux-x86_64}}
getmacros=${{EPICS_KIT_ROOT:-$top}}/support/icpconfig/$bin/icpconfigGetMacros
if [ -z "${{MACROS:-}}" ] && [ -x "$getmacros" ]; then
    MACROS=$("$getmacros" "$MYIOCNAME") && export MACROS
fi

cd "$MYDIRBLOCK" || exit 1
exec {program} run --name "$MYIOCNAME"
"""

EXAMPLE = """\
# Made by `bgrscrpt-ioc deploy ibex`: example lines for globals.txt in the instrument's directory
# `configurations`. A line sets the macro of one IOC, and overrides the configuration in IBEX.
# Write / in paths. Write no comment behind a value.
"""


def files(count: int, program: Sequence[str], windows_python: str) -> dict[str, str]:
    """Return the files of the instances _01 to _`count`, by their paths below the EPICS directory.

    Args:
        count: number of instances, 1 to `MOST`.
        program: command that starts bgrscrpt-ioc on this host, for `runIOC.sh`.
        windows_python: path of the Python on Windows that has the IOC, for `runIOC.bat`.
    """
    names = [f"{GROUP}_{number:02d}" for number in range(1, count + 1)]
    made: dict[str, str] = {}
    for name in names:
        directory = f"{BOOT}/ioc{GROUP}-IOC-{name[-2:]}"
        made |= {
            f"{directory}/config.xml": config(name),
            f"{directory}/runIOC.bat": batch(name, windows_python),
            f"{directory}/runIOC.sh": shell(name, program),
        }
    return made | {GLOBALS: examples(names)}


def default_script(name: str) -> str:
    """Return the script of an instance that has no macro SCRIPT_PATH."""
    number = int(name[-2:])
    return f"$(ICPINSTSCRIPTROOT)/background_script{number if number > 1 else ''}.py"


def config(name: str) -> str:
    """Return config.xml: the IOC's description and macro, which IBEX shows."""
    return CONFIG.format(name=name, default=default_script(name))


def batch(name: str, program: str) -> str:
    """Return the batch file that starts the IOC on Windows, with Windows's line ends."""
    text = WINDOWS.format(name=name, up="\\".join(UP), program=program.replace("%", "%%"))
    return text.replace("\n", "\r\n")


def shell(name: str, program: Sequence[str]) -> str:
    """Return the script that starts the IOC on Linux."""
    return POSIX.format(name=name, up="/".join(UP), program=join(program))


def examples(names: Sequence[str]) -> str:
    """Return example lines for globals.txt, one for each instance."""
    lines = (
        f'{name}__SCRIPT_PATH="$(ICPINSTSCRIPTROOT)/another_script{int(name[-2:])}.py"\n'
        for name in names
    )
    return EXAMPLE + "".join(lines)
