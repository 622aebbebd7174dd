"""Checks that pages and descriptions are easy to read: `make lint`.

It looks for phrases that we do not use (`docs/phrases.txt`), for sentences that are too long, and
for pages that are hard to read by LIX, the readability index of textstat. LIX counts long words and
long sentences and knows no syllables, so names such as BGRSCRPT do not confuse it. Descriptions of
settings, PVs and commands are checked on the reference pages that are made of them. textstat is
installed in an environment of its own, because it installs a package named `tests`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHRASES = ROOT / "docs" / "phrases.txt"
LONGEST = 45  # words of a sentence
HARDEST = 40.0  # LIX of a page; newspapers have about 45, laws about 60
FEWEST = 100  # words of a page that has a LIX

NOT_PROSE = re.compile(
    r"<!--.*?-->|^ *```.*?^ *```$|!?\[(?P<text>[^\]]*)\]\([^)]*\)|(?P<code>`[^`]*`)|<https?:[^>]*>",
    re.DOTALL | re.MULTILINE,
)
BREAK = re.compile(r"\n\s*\n|\||^\s*(?:[-*]|\d+\.|#+) ", re.MULTILINE)
END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z*\"`(])")
WORD = re.compile(r"[A-Za-z][\w'-]*")


@dataclass(frozen=True)
class Phrase:
    """A phrase that we do not use, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def pages() -> list[Path]:
    """Return the pages that are checked: not the decisions, nor what terminals have printed."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [
        each
        for each in found
        if "decisions" not in each.parts and not each.name.startswith("terminal-")
    ]


def phrases() -> list[Phrase]:
    """Read the list: one phrase a line, a regular expression, `=>`, and what to write instead."""
    lines = PHRASES.read_text(encoding="utf-8").splitlines()
    parts = [line.split("=>") for line in lines if line.strip() and not line.startswith("#")]
    return [
        Phrase(re.compile(rf"\b(?:{each.strip()})\b", re.IGNORECASE), instead.strip())
        for each, instead in parts
    ]


def prose(page: str) -> str:
    """Return the page without code, comments and addresses; its lines keep their numbers."""

    def blank(found: re.Match[str]) -> str:
        newlines = "\n" * found[0].count("\n")
        if found["text"] is not None:
            return found["text"].replace("`", "")
        return "X" if found["code"] else newlines

    return NOT_PROSE.sub(blank, page)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each sentence; a cell of a table is one, at least."""
    at = 0
    for found in [*BREAK.finditer(text), None]:
        end = found.start() if found else len(text)
        start = at
        for sentence in END.split(text[at:end]):
            yield text.count("\n", 0, start) + 1, " ".join(sentence.split())
            start += len(sentence) + 1
        at = found.end() if found else end


def complaints(path: Path, unused: list[Phrase]) -> Iterator[str]:
    """Yield what should be written otherwise, as `file:line: what`."""
    textstat = import_module("textstat")  # only the environment of this check has it
    name = path.relative_to(ROOT)
    text = prose(path.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), 1):
        for phrase in unused:
            for found in phrase.pattern.finditer(line):
                yield f"{name}:{number}: {found[0]!r}: write {phrase.instead}"
    said = [(line, each) for line, each in sentences(text) if WORD.search(each)]
    for line, each in said:
        if (words := len(WORD.findall(each))) > LONGEST:
            yield f"{name}:{line}: a sentence of {words} words: {each[:60]}..."
    whole = " ".join(each if each[-1] in ".!?" else f"{each}." for _, each in said)
    if len(WORD.findall(whole)) >= FEWEST and (lix := textstat.lix(whole)) > HARDEST:
        yield f"{name}: hard to read, LIX {lix:.0f} of at most {HARDEST:.0f}: shorten its sentences"


def main() -> int:
    """Print all complaints; return 1 if there are some."""
    found = [each for path in pages() for each in complaints(path, phrases())]
    for each in found:
        print(each)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
