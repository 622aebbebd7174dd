"""Has Sphinx make the pages of README.md and docs/ into HTML: `make docs`. Warnings are errors.

The pages stay plain Markdown that reads well where the source is; nothing here adds to them but the
order of the contents.
"""

from __future__ import annotations

import sphinx.application

project = "bgrscrpt_ioc"
copyright = "the authors of bgrscrpt_ioc, BSD-3-Clause"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md"]
root_doc = "README"
nitpicky = True
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {"description": "keeps an instrument's background scripts running"}
html_show_sourcelink = False
html_copy_source = False

CONTENTS = """
```{toctree}
:hidden:
:glob:
docs/README
docs/tutorials/*
docs/how-to/*
docs/examples/*
docs/reference/*
docs/explanations/*
docs/explanations/decisions/*
CHANGELOG
```
"""


def setup(app: sphinx.application.Sphinx) -> None:
    """Add the contents, which on the page itself would only be noise."""
    app.connect("source-read", add_contents)


def add_contents(_app: sphinx.application.Sphinx, page: str, source: list[str]) -> None:
    """Append them to the front page."""
    if page == root_doc:
        source[0] += CONTENTS
