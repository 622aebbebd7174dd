"""The documents that are made from the source are those that would be made now."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import generate
import pytest

LINK = re.compile(r"\]\(([^)#]+[^)]*)\)")
DOCS = Path(__file__).parents[2] / "docs"
# Commands that can delete or replace what a site has; and those of them that pages may have.
DESTROYS = re.compile(
    r"\b(rm|mv|dd|truncate|mkfs|rsync|cp(?! --interactive))\s|-import\b|--delete\b|--force\b"
    r"|\bgit (clean|reset)|\b(drop|delete|truncate|replace|update)\s|>\s*/etc|\bkill(all)?\b",
    re.IGNORECASE,
)
HARMLESS = {
    "alarm-server.sh -config BGRSCRPT -import bgrscrpt.xml": "a configuration of its own",
    "alarm-server.sh -config Accelerator -import after.xml": "exported and merged before",
}


@pytest.mark.parametrize("page", generate.PAGES)
def test_reference_is_current(page: str) -> None:
    """`make docs` would change nothing."""
    assert (DOCS / "reference" / page).read_text() == generate.PAGES[page]()


@pytest.mark.parametrize("page", sorted(generate.EXAMPLES.glob("*.md")), ids=lambda page: page.stem)
def test_examples_are_shown_as_they_are(page: Path) -> None:
    """The page of an example shows exactly the file that the tests run."""
    text = page.read_text()
    assert f"<!-- file: scripts_examples/{page.stem}.py -->" in text
    assert text == generate.with_sources(text)


def test_pages_are_looked_for_in_docs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make docs` walks no other directory: Wine's drive Z: in one is the whole host, and loops."""
    for name in "sphinx", "sphinx.application":  # not every Python of the tests has it
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    excluded = runpy.run_path(str(DOCS / "conf.py"))["exclude_patterns"]
    there = {each.name for each in DOCS.parent.iterdir() if each.is_dir()}
    assert "tests" in there
    assert {*excluded, "docs"} == there


def test_links_lead_somewhere() -> None:
    """Every relative link of a document names a file that exists."""
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
    assert pages
    broken = [
        f"{page.relative_to(DOCS.parent)}: {target}"
        for page in pages
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not broken


def test_contents_name_every_page() -> None:
    """`docs/README.md` leads to each page but the single decisions."""
    found = LINK.findall((DOCS / "README.md").read_text())
    contents = {each for each in found if not each.startswith("../")}
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    decisions = {each for each in pages if Path(each).match("decisions/0*.md")}
    assert contents == pages - decisions


def test_commands_destroy_nothing() -> None:
    """No page has a command that may delete or replace files of a site without a warning."""
    commands = {
        line.strip().removeprefix("$ ")
        for page in [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
        for line in page.read_text().splitlines()
        if line.strip().startswith("$ ")
    }
    assert {each for each in commands if DESTROYS.search(each)} == HARMLESS.keys()
