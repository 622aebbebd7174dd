"""Scripts in an interpreter that has the real genie_python, as on an instrument."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrscrpt_ioc.process.messages import Registered
from tests.process import genie
from tests.process.scripts import Runner


@pytest.fixture
def genie_python() -> str:
    """The interpreter that `make genie` sets up."""
    if not genie.IS_THERE:
        pytest.skip(genie.MISSING)
    return str(genie.PYTHON)


@pytest.mark.parametrize("order", ["genie first", "registration first"])
async def test_a_script_with_genie(
    tmp_path: Path, runner: Runner, genie_python: str, order: str
) -> None:
    """A script imports the real genie_python and registers, in either order, and goes on."""
    script = tmp_path / "script.py"
    lines = ["from genie_python import genie as g", "register('X')"]
    if order == "registration first":
        lines.reverse()
    imported = "from server_common.helpers import register_ioc_start as register"
    script.write_text("\n".join([imported, *lines, "print('goes on with', g.__name__)"]))
    heard = await runner.run(script, genie_python)
    assert heard.code == 0, heard.text
    assert [each.ioc_name for each in heard.messages if isinstance(each, Registered)] == ["X"]
    assert heard.text.endswith(b"goes on with genie_python.genie\n")
