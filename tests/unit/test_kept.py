"""The state file: what was saved comes back; a broken file stops nothing and is not destroyed."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrscrpt_ioc.host import files
from bgrscrpt_ioc.script.kept import Keeper, Kept, KeptFile


@pytest.fixture
def file(tmp_path: Path) -> KeptFile:
    return KeptFile(tmp_path / "state" / "BGRSCRPT_01.json")


@pytest.mark.parametrize("autorestart", [None, False, True])
@pytest.mark.parametrize("wanted", [None, False, True])
def test_round_trip(file: KeptFile, autorestart: bool | None, wanted: bool | None) -> None:
    """The last state that was saved is loaded; only the file's owner and group can read it."""
    file.save(Kept(autorestart=not autorestart))
    file.save(Kept(autorestart, wanted))
    assert file.load() == (Kept(autorestart, wanted), "")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


def test_first_start(file: KeptFile) -> None:
    """At the first start there is no file, and the defaults hold without a complaint."""
    assert file.load() == (Kept(), "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b'{"autorestart": tr', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"wanted": "yes"}', "wanted is 'yes', should be true, false or null"),
    ],
    ids=["empty", "truncated", "binary", "deep", "list", "text"],
)
def test_a_broken_file_is_kept_aside(file: KeptFile, content: bytes, says: str) -> None:
    """A file that cannot be understood gives the defaults and a reason, and is kept as .bad."""
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    state, problem = file.load()
    assert state == Kept()
    assert problem.startswith(f"{file.path}: {says}")
    assert problem.endswith("defaults used, the file is kept as BGRSCRPT_01.json.bad")
    assert Path(f"{file.path}.bad").read_bytes() == content
    assert file.load() == (Kept(), "")


def test_keys_of_a_later_version(file: KeptFile) -> None:
    """Unknown keys are ignored, so that a site can go back to an older version."""
    file.path.parent.mkdir()
    file.path.write_text('{"wanted": true, "colour": "blue"}')
    assert file.load() == (Kept(wanted=True), "")


def test_an_unreadable_file(file: KeptFile) -> None:
    """A file that cannot be read gives the defaults and the system's reason."""
    file.path.mkdir(parents=True)
    state, problem = file.load()
    assert state == Kept()
    assert problem == f"{file.path}: cannot be read (Is a directory); defaults used"


def test_a_broken_file_that_cannot_be_moved(file: KeptFile) -> None:
    """A broken file that cannot be kept aside still gives the defaults, and both reasons."""
    (file.path.parent / "BGRSCRPT_01.json.bad" / "full").mkdir(parents=True)
    file.path.write_text("{")
    state, problem = file.load()
    assert state == Kept()
    assert problem.endswith("defaults used, the file stays where it is (Is a directory)")


def test_a_failed_save_names_the_file(tmp_path: Path) -> None:
    """A save that fails raises OSError with the path of the state file."""
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(OSError, match=r"state/X\.json") as caught:
        KeptFile(tmp_path / "state" / "X.json").save(Kept())
    assert caught.value.filename == str(tmp_path / "state" / "X.json")


def test_a_save_cut_short_leaves_the_old_state(
    file: KeptFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old state stays, and no temporary file is left behind."""
    file.save(Kept(wanted=True))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save(Kept(wanted=False))
    assert file.load() == (Kept(wanted=True), "")
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


async def test_a_switch_without_end_is_saved_now_and_then(file: KeptFile) -> None:
    """The first change of a switch is saved at once; of quick later changes, the newest is."""
    saves, again = list[str](), asyncio.Event()

    class AtOnce:
        def do(self, key: str, job: Callable[[], str], done: Callable[[str], None]) -> None:
            saves.append(key)
            done(job())
            if len(saves) > 1:
                again.set()

    keeper = Keeper(file, AtOnce())  # type: ignore[arg-type]
    for number in range(100):
        keeper.set(Kept(autorestart=bool(number % 2)))
    assert len(saves) == 1
    await again.wait()
    assert len(saves) == 2
    assert file.load() == (Kept(autorestart=True), "")
