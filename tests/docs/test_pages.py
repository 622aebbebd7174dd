"""Every command of every page does what the page says."""

from __future__ import annotations

import shutil

import pytest

from tests.docs.pages import FENCE, LANGUAGES, PAGES, ROOT, Reader, blocks, missing

pytestmark = pytest.mark.timeout(600)
NOT_RUN = 17  # blocks at most
PROGRAMS = {"curl": "curl", "procServ": "procserv", "systemd-analyze": "systemd"}
WITH_COMMANDS = {
    str(page.relative_to(ROOT)): page
    for page in PAGES
    if any(
        each.language in LANGUAGES and not each.info.startswith("not-run") for each in blocks(page)
    )
}


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_a_page(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its commands, as they stand but for ports and directories, do and print what it says."""
    needed = [each for each in PROGRAMS if f"$ {each} " in WITH_COMMANDS[name].read_text()]
    if lacking := [each for each in needed if shutil.which(each) is None]:
        packages = " ".join(PROGRAMS[each] for each in lacking)
        pytest.skip(f"{lacking} not installed: sudo apt-get install {packages}")
    # A short path, as users have: the registry keeps 100 characters of a script's.
    with Reader(WITH_COMMANDS[name], tmp_path_factory.mktemp("page")) as reader:
        reader.read()


def test_what_is_not_run_has_a_reason() -> None:
    """Only a few blocks are left out, and each says why; no other marker is misspelled."""
    commands = [
        (f"{page.relative_to(ROOT)}:{each.line}", each.info)
        for page in PAGES
        for each in blocks(page)
        if each.language in LANGUAGES
    ]
    left_out = [info for _, info in commands if info.startswith("not-run: ") and len(info) > 15]
    odd = [
        (at, info)
        for at, info in commands
        if info not in {"", "stays", "fails", "silent", *left_out}
    ]
    assert not odd
    assert len(left_out) <= NOT_RUN


def test_all_blocks_are_seen() -> None:
    """No fence is written so that Markdown, or this test, takes it for something else."""
    for page in PAGES:
        text = page.read_text()
        fences = sum(line.lstrip().startswith("```") for line in text.splitlines())
        assert fences == 2 * len(FENCE.findall(text)), page


def test_lines_that_are_printed() -> None:
    """What a page's lines stand for: digits, users, spaces, `...`; their order counts."""
    printed = "a 17 s by me@host.x\nother\nNAME    PID\nat /tmp/x/y.py: good\n"
    assert not missing(["a 3 s by root@vm", "NAME  PID", "at /.../y.py: good"], printed)
    assert missing(["NAME PID", "other"], printed) == ["other"]
    assert missing(["a s by root@vm"], printed) == ["a s by root@vm"]
