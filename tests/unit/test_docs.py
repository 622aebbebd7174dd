"""The documents that are made from the source are those that would be made now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

LINK = re.compile(r"\]\(([^)#]+[^)]*)\)")
DOCS = Path(__file__).parents[2] / "docs"
SPEC = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
assert SPEC is not None
assert SPEC.loader is not None
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


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
