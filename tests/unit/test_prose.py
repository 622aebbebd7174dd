"""The check of pages (docs/prose.py) finds phrases and long sentences, and only in prose."""

from __future__ import annotations

import prose

PAGE = """# A page

Run `spoilt thereby` in order
to see. It's [a link](thereby.md), <!-- thereby --> and not more. The IOC ends.

```console
$ in order to
```

| one | two words. And a sentence. |
|---|---|
"""


def test_code_is_not_prose() -> None:
    """Code, comments and addresses are left out; lines keep their numbers."""
    text = prose.prose(PAGE)
    assert text.count("\n") == PAGE.count("\n")
    assert "thereby" not in text
    assert "a link" in text


def test_sentences() -> None:
    """A sentence may have several lines; each cell of a table is a sentence of its own."""
    found = [each for _, each in prose.sentences(prose.prose(PAGE)) if prose.WORD.search(each)]
    assert found == [
        "A page", "Run X in order to see.", "It's a link, and not more.", "The IOC ends.",
        "one", "two words.", "And a sentence.",
    ]  # fmt: skip


def test_phrases_have_a_remedy() -> None:
    """Each phrase of the list is found in any case, and says what to write instead."""
    assert prose.phrases()
    for phrase in prose.phrases():
        assert phrase.instead
    assert any(each.pattern.search("In order to see") for each in prose.phrases())
    assert not any(each.pattern.search("The IOC starts the script.") for each in prose.phrases())
