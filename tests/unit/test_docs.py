"""The documents that are made from the source are those that would be made now."""

from __future__ import annotations

import re
from pathlib import Path

import generate
import pytest

LINK = re.compile(r"\]\(([^)#]+[^)]*)\)")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", generate.PAGES)
def test_reference_is_current(page: str) -> None:
    """`make docs` would change nothing."""
    assert (DOCS / "reference" / page).read_text() == generate.PAGES[page]()


@pytest.mark.parametrize("page", sorted(generate.EXAMPLES.glob("*.md")), ids=lambda page: page.stem)
def test_examples_are_shown_as_they_are(page: Path) -> None:
    """The page of an example shows the file that is run in the tests, letter by letter."""
    text = page.read_text()
    assert f"<!-- file: scripts_examples/{page.stem}.py -->" in text
    assert text == generate.with_sources(text)


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
    contents = set(LINK.findall((DOCS / "README.md").read_text()))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    decisions = {each for each in pages if Path(each).match("decisions/0*.md")}
    assert contents == pages - decisions
