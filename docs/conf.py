"""Makes HTML of README.md and docs/ with Sphinx and the theme furo: `make docs`.

Warnings are errors. The pages stay plain Markdown that reads well in the source tree; this file adds
only the contents of the sidebar, and the name of the file above each block that is a file.
"""

from __future__ import annotations

import re
from pathlib import Path

import sphinx.application

project = "bgrscrpt_ioc"
copyright = "the authors of bgrscrpt_ioc, BSD-3-Clause"  # noqa: A001 - Sphinx's name
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md"]
# Other directories are not even looked into: a drive Z: of Wine, in .venv, leads to all of the host.
exclude_patterns = [
    each.name
    for each in Path(__file__).parents[1].iterdir()
    if each.is_dir() and each.name != "docs"
]
root_doc = "README"
nitpicky = True
myst_heading_anchors = 3
html_title = "bgrscrpt_ioc"
html_theme = "furo"
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
html_copy_source = False

SIDEBAR = {
    "Begin": ("docs/README", "docs/tutorials/*"),
    "How to": ("docs/how-to/*",),
    "Examples": ("docs/examples/*",),
    "Look up": ("docs/reference/*", "CHANGELOG"),
    "Understand": ("docs/explanations/*", "CONTRIBUTING"),
    "Decisions": ("docs/explanations/decisions/*",),
}
CONTENTS = "".join(
    "\n```{toctree}\n:hidden:\n:glob:\n:caption: " + caption + "\n" + "\n".join(pages) + "\n```\n"
    for caption, pages in SIDEBAR.items()
)
# A block whose first line names a file: ```toml instrument.toml
FILE = re.compile(
    r"^(?P<indent> *)```(?!console|sh\b)(?P<language>\w+) +(?P<name>\S+)$", re.MULTILINE
)


def setup(app: sphinx.application.Sphinx) -> None:
    """Add to the pages what in their Markdown would only be noise."""
    app.connect("source-read", add_contents)
    app.connect("source-read", add_file_names)


def add_contents(_app: sphinx.application.Sphinx, page: str, source: list[str]) -> None:
    """Append them to the front page."""
    if page == root_doc:
        source[0] += CONTENTS


def add_file_names(_app: sphinx.application.Sphinx, _page: str, source: list[str]) -> None:
    """Show the name of the file above each block that is a file."""
    source[0] = FILE.sub(
        r"\g<indent>```{code-block} \g<language>\n\g<indent>:caption: \g<name>\n", source[0]
    )
