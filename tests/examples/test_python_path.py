"""Where the import lines of instrument scripts lead: to a real checkout before our examples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.examples.zerofield import SCRIPTS
from tests.process.scripts import Runner, interpreters

NAME = "general.utilities.restart_ioc_when_pv_in_alarm"
IMPORTS = f"from {NAME} import restart_ioc_when_pv_in_alarm as f\nprint(f.__code__.co_filename)\n"
OURS = str(SCRIPTS / "general/utilities/restart_ioc_when_pv_in_alarm.py")
SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    runner = Runner()
    yield runner
    await runner.close()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """An instrument script's import, as the documentation has it."""
    path = tmp_path / "scripts/background_script.py"
    path.parent.mkdir()
    path.write_text(IMPORTS)
    return path


@pytest.mark.parametrize("packages", [True, False])
async def test_a_real_checkout_wins(
    tmp_path: Path, script: Path, runner: Runner, packages: bool
) -> None:
    """InstrumentScripts configured first wins, whether or not its directories are packages."""
    real = tmp_path / "InstrumentScripts/general/utilities/restart_ioc_when_pv_in_alarm.py"
    real.parent.mkdir(parents=True)
    real.write_text("def restart_ioc_when_pv_in_alarm():\n    pass\n")
    if packages:
        (real.parent / "__init__.py").touch()
    heard = await runner.run(script, search_path=(str(real.parents[2]), str(SCRIPTS)))
    assert heard.text.decode() == f"{real}\n"


async def test_what_a_checkout_lacks(tmp_path: Path, script: Path, runner: Runner) -> None:
    """Where the checkout has no such module, ours is found behind it."""
    (tmp_path / "InstrumentScripts/general/utilities").mkdir(parents=True)
    path = (str(tmp_path / "InstrumentScripts"), str(SCRIPTS))
    heard = await runner.run(script, search_path=path)
    assert heard.text.decode() == f"{OURS}\n"


@pytest.mark.parametrize("version", SUPPORTED, ids=lambda version: f"{version[0]}.{version[1]}")
async def test_every_python_of_a_script(
    script: Path, runner: Runner, version: tuple[int, int]
) -> None:
    """Ours can be imported in every Python that a script may have, with nothing installed there."""
    heard = await runner.run(script, SUPPORTED[version], search_path=(str(SCRIPTS),))
    assert heard.text.decode() == f"{OURS}\n"
