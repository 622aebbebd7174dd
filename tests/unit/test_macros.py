"""What macLib of EPICS base expands is expanded, and what cannot be expanded is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.config.macros import MAX_DEPTH, MacroError, expand

MACROS = {
    "P": "TE:NDW1234:",
    "EMPTY": "",
    "NAME": "P",
    "PV": "$(P)TEMP",
    "WITH_DEFAULT": "${NONE=$(P)}",
    "PRICE": r"\$(P)",
}
plain = st.text(st.characters(exclude_characters="$\\"))
names = st.text(st.characters(exclude_characters="$\\=(){}"), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", ""),
        ("$(P)X", "TE:NDW1234:X"),
        ("a${P}b$(P)", "aTE:NDW1234:bTE:NDW1234:"),
        ("$(EMPTY)", ""),
        ("$(EMPTY=x)", ""),
        ("$(NONE=)", ""),
        ("$(NONE=x=y, z)", "x=y, z"),
        ("${NONE=(a)}", "(a)"),
        ("$(NONE=$(P)$(NONE=1))", "TE:NDW1234:1"),
        ("$(P=$(NONE))", "TE:NDW1234:"),
        ("$($(NAME))", "TE:NDW1234:"),
        ("$(PV) $(PV)", "TE:NDW1234:TEMP TE:NDW1234:TEMP"),
        ("$(WITH_DEFAULT)", "TE:NDW1234:"),
        (r"\$(P) \${P} \$x", "$(P) ${P} $x"),
        ("$(PRICE)", "$(P)"),
        ("mysql+pymysql://iocdb:$iocdb@h/iocdb", "mysql+pymysql://iocdb:$iocdb@h/iocdb"),
        ("50 $ \\ $", "50 $ \\ $"),
        (") } = (", ") } = ("),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    """Each form of a macro is replaced; text that is no macro stays."""
    assert expand(text, MACROS) == expanded


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/a/$(NOPE)/b", r"macro 'NOPE' is not defined; .*\$\(NOPE=\.\.\.\)"),
        ("$(A=$(NOPE))", "'NOPE' is not defined"),
        ("$(SELF)", "'SELF' contains itself: SELF -> SELF"),
        ("$(LOOP)", "'LOOP' contains itself: LOOP -> BACK -> LOOP"),
        ("x $(P", r"'\$\(P' has no closing '\)'"),
        ("${P)", r"has no closing '}'"),
        ("$(P=$(Q)", "has no closing"),
        ("$()", "without a name"),
        ("$(=x)", "without a name"),
    ],
)
def test_what_cannot_be_expanded(text: str, says: str) -> None:
    """An error names the macro and what is wrong with it."""
    with pytest.raises(MacroError, match=says):
        expand(text, {"SELF": "a$(SELF)", "LOOP": "$(BACK)", "BACK": "$(LOOP)"})


def test_depth_is_bounded() -> None:
    """Neither brackets nor a chain of macros can exhaust the stack."""
    with pytest.raises(MacroError, match="nested more than"):
        expand("$(" * 100_000, {})
    chain = {f"M{i}": f"$(M{i + 1})" for i in range(MAX_DEPTH + 1)}
    with pytest.raises(MacroError, match=f"nested more than .*'M{MAX_DEPTH}'"):
        expand("$(M0)", chain)
    assert expand("$(M1)", {**chain, f"M{MAX_DEPTH}": "end"}) == "end"


@given(st.text())
def test_any_text_is_expanded_or_refused(text: str) -> None:
    """Every text is expanded or raises a MacroError."""
    try:
        expand(text, {})
    except MacroError:
        assert "$(" in text or "${" in text


@given(plain, names, plain, st.sampled_from(["()", "{}"]))
def test_a_value_takes_the_place_of_its_macro(
    around: str, name: str, value: str, brackets: str
) -> None:
    """A macro between two texts gives the texts with its value between them."""
    macro = f"${brackets[0]}{name}{brackets[1]}"
    assert expand(f"{around}{macro}{around}", {name: value}) == f"{around}{value}{around}"


@given(plain, st.dictionaries(names, plain))
def test_text_without_macros_stays(text: str, macros: dict[str, str]) -> None:
    """Text without a dollar is left as it is."""
    assert expand(text, macros) == text


@given(names, plain.filter(lambda text: not set(text) & set(")}")))
def test_a_default_stands_in(name: str, default: str) -> None:
    """An undefined macro gives its default."""
    assert expand(f"$({name}={default})", {}) == default
