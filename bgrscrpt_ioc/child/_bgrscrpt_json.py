"""Writes JSON for the IOC without `import json`: a script may have a `json.py` of its own."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments


def fields(**values):
    # type: (Any) -> str
    """Return these fields as a JSON object."""
    return encoded(values)


def encoded(value):
    # type: (object) -> str
    """Return any value as JSON; a value that JSON does not have becomes a text."""
    if isinstance(value, dict):
        items = ("%s:%s" % (quoted(str(key)), encoded(item)) for key, item in value.items())
        return "{%s}" % ",".join(items)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(map(encoded, value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)  # an IntEnum, too
    if isinstance(value, float) and value - value == 0:  # JSON has no infinity
        return float.__repr__(value)
    return quoted(value if isinstance(value, str) else str(value))


def quoted(text):
    # type: (str) -> str
    """Return a JSON string in ASCII, without `_json`, which would have to load at every start."""
    if _is_plain(text):
        return '"' + text + '"'  # not %s, which would call a subclass's `__str__`
    return '"%s"' % "".join(each if _is_plain(each) else _escaped(each) for each in text)


def _is_plain(text):
    # type: (str) -> bool
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def _escaped(character):
    # type: (str) -> str
    # Not by the codec "utf-16": its import fails when descriptors have run out.
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return "\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
    return "\\u%04x" % code
