"""The state file: what was saved comes back, and a broken file neither stops nor is destroyed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bgrscrpt_ioc import files
from bgrscrpt_ioc.state import InstanceState, StateFile


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "state" / "BGRSCRPT_01.json")


@pytest.mark.parametrize("autorestart", [None, False, True])
@pytest.mark.parametrize("wanted", [None, False, True])
def test_round_trip(file: StateFile, autorestart: bool | None, wanted: bool | None) -> None:
    """What was saved last is loaded, by whoever owns the file and its group only."""
    file.save(InstanceState(autorestart=not autorestart))
    file.save(InstanceState(autorestart, wanted))
    assert file.load() == (InstanceState(autorestart, wanted), "")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o640
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]


def test_first_start(file: StateFile) -> None:
    """No file is no problem: nobody has said anything yet."""
    assert file.load() == (InstanceState(), "")


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
def test_a_broken_file_is_kept_aside(file: StateFile, content: bytes, says: str) -> None:
    """A file that cannot be understood gives the defaults and a reason, and is kept as .bad."""
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    state, problem = file.load()
    assert state == InstanceState()
    assert problem.startswith(f"{file.path}: {says}")
    assert problem.endswith("defaults used, the file is kept as BGRSCRPT_01.json.bad")
    assert Path(f"{file.path}.bad").read_bytes() == content
    assert file.load() == (InstanceState(), "")


def test_keys_of_a_later_version(file: StateFile) -> None:
    """Unknown keys are passed over, so that one may go back to an older version."""
    file.path.parent.mkdir()
    file.path.write_text('{"wanted": true, "colour": "blue"}')
    assert file.load() == (InstanceState(wanted=True), "")


def test_an_unreadable_file(file: StateFile) -> None:
    """A file that cannot be read gives the defaults and the system's reason."""
    file.path.mkdir(parents=True)
    state, problem = file.load()
    assert state == InstanceState()
    assert problem == f"{file.path}: cannot be read (Is a directory); defaults used"


def test_a_broken_file_that_cannot_be_moved(file: StateFile) -> None:
    """A broken file that cannot be kept aside still gives the defaults, and both reasons."""
    (file.path.parent / "BGRSCRPT_01.json.bad" / "full").mkdir(parents=True)
    file.path.write_text("{")
    state, problem = file.load()
    assert state == InstanceState()
    assert problem.endswith("defaults used, the file stays where it is (Is a directory)")


def test_a_failed_save_names_the_file(tmp_path: Path) -> None:
    """A save that fails raises OSError with the path of the state file."""
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(OSError, match=r"state/X\.json") as caught:
        StateFile(tmp_path / "state" / "X.json").save(InstanceState())
    assert caught.value.filename == str(tmp_path / "state" / "X.json")


def test_a_save_cut_short_leaves_the_old_state(
    file: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old state stays, and no temporary file is left behind."""
    file.save(InstanceState(wanted=True))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save(InstanceState(wanted=False))
    assert file.load() == (InstanceState(wanted=True), "")
    assert [each.name for each in file.path.parent.iterdir()] == [file.path.name]
