"""ISIS's boot directory on Windows: `runIOC.bat` starts the IOC, as ISIS's start-up calls it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL, Client
from benchmarks.rig.iocs import Ioc, until
from benchmarks.rig.where import CONSOLE, PROGRAM, PYTHON, native
from bgrscrpt_ioc.deploy import ibex
from tests.windows.across.conftest import FOREVER

ARCH = "windows-x64"
# A double of ISIS's program, which needs ISIS's EPICS tree.
GET_MACROS = """
#include <stdio.h>
#include <string.h>
int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "BGRSCRPT_02")) puts(%s);
    return 0;
}
"""


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """The EPICS directory of an instrument, with spaces in its path, and two scripts of it."""
    top, scripts = tmp_path / "EPICS tree", tmp_path / "my scripts"
    scripts.mkdir()
    for name, text in ibex.files(2, (), PROGRAM).items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    variables = {
        "MYPVPREFIX": "TE:",
        "ICPINSTSCRIPTROOT": native(scripts).replace("\\", "/"),
        "ICPVARDIR": native(tmp_path / "var"),
        "EPICS_KIT_ROOT": native(top),
        "EPICS_HOST_ARCH": ARCH,
    }
    lines = [f'set "{name}={value}"\r\n' for name, value in variables.items()]
    (top / "config_env_base.bat").write_bytes("".join(lines).encode())
    for name in ("background_script2.py", "other script.py"):
        (scripts / name).write_text(f"import os\nprint('at', os.getcwd(), flush=True)\n{FOREVER}")
    return top


class RunIoc(Ioc):
    """`runIOC.bat` of a boot directory, in a console."""

    def __init__(self, directory: Path) -> None:
        batch = ["cmd", "/c", native(directory / "runIOC.bat")]
        super().__init__(directory, command=[PYTHON, CONSOLE, *batch], stdin=subprocess.PIPE)


@pytest.mark.parametrize("macros", [None, {"SCRIPT_PATH": "$(ICPINSTSCRIPTROOT)/other script.py"}])
def test_run_ioc_starts_the_ioc(macros: dict[str, str] | None, boot: Path) -> None:
    """The directory of _02 starts its IOC and script; nothing is left when procServ ends them."""
    directory = boot / ibex.BOOT / "iocBGRSCRPT-IOC-02"
    script = "background_script2.py"
    if macros is not None:
        double = boot / f"support/icpconfig/master/bin/{ARCH}/icpconfigGetMacros.exe"
        double.parent.mkdir(parents=True)
        source = double.with_suffix(".c")
        source.write_text(GET_MACROS % json.dumps(json.dumps(macros)))
        compiler = "x86_64-w64-mingw32-gcc"
        subprocess.run([compiler, "-static", "-o", double, source], check=True)
        script = "other script.py"
    with RunIoc(directory) as ioc:
        ioc.ready()
        assert "serving TE:BGRSCRPT_02 " in ioc.output
        with Client(ioc.port) as client:
            until(lambda: "up" in client.text("TE:BGRSCRPT_02:LOG"))
            assert client.text("TE:BGRSCRPT_02:SCRIPT").endswith(f"\\my scripts\\{script}")
            assert f"at {native(directory)}" in client.text("TE:BGRSCRPT_02:LOG")
            assert client.put_callback("TE:BGRSCRPT_02:RESTART") == ECA_NORMAL
