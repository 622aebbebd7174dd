"""The alarm configuration of instances for Phoebus's alarm server.

Pure. An import replaces a whole configuration. So what is printed alone is a component, which a
site adds to its own configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Alarm:
    """A record whose alarm an operator must see; it must last for `delay` seconds."""

    record: str
    description: str
    guidance: str
    delay: int = 0


COMPONENT = "BGRSCRPT"
ALARMS = (
    Alarm("STATUS", "{name}: state of the script", "See STATUS:MSG and ERROR. START starts it."),
    Alarm(
        "REGISTERED",
        "{name}: row in the IOC registry",
        "See REGISTRY:MSG. Scripts run without the registry's database.",
        delay=60,
    ),
)


def component(prefix: str, names: Iterable[str], screen: str) -> str:
    """Return a `<component>` with the alarms of these instances.

    Args:
        prefix: prefix of all PV names.
        names: names of the instances.
        screen: path or URL of bgrscrpt.bob; if it is empty, no display is named.
    """
    return _text(_component(prefix, names, screen))


def configuration(root: str, prefix: str, names: Iterable[str], screen: str) -> str:
    """Return a whole configuration `root` that has only the component."""
    config = ET.Element("config", name=root)
    config.append(_component(prefix, names, screen))
    return _text(config)


def merged(exported: str, prefix: str, names: Iterable[str], screen: str) -> str:
    """Return an exported configuration with our component in it, in place of an older one.

    Raises:
        ValueError: `exported` is no configuration; the message says what it is.
    """
    try:
        parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - a site's own
        config = ET.fromstring(exported, parser)  # noqa: S314 - and nothing is fetched
    except ET.ParseError as error:
        raise ValueError(f"is not XML: {error}") from error
    if config.tag != "config":
        raise ValueError(f"is a <{config.tag}>, should be the <config> that the server exports")
    for each in config.findall(f"component[@name='{COMPONENT}']"):
        config.remove(each)
    config.append(_component(prefix, names, screen))
    return _text(config)


def _component(prefix: str, names: Iterable[str], screen: str) -> ET.Element:
    group = ET.Element("component", name=COMPONENT)
    for name in names:
        for alarm in ALARMS:
            pv = ET.SubElement(group, "pv", name=f"{prefix}{name}:{alarm.record}")
            ET.SubElement(pv, "description").text = alarm.description.format(name=name)
            ET.SubElement(pv, "latching").text = "false"
            if alarm.delay:
                ET.SubElement(pv, "delay").text = str(alarm.delay)
            _titled(pv, "guidance", "What to do", alarm.guidance)
            if screen:
                _titled(pv, "display", "Screen", f"{screen}?P={prefix}&NAME={name}")
    return group


def _titled(parent: ET.Element, kind: str, title: str, details: str) -> None:
    made = ET.SubElement(parent, kind)
    ET.SubElement(made, "title").text = title
    ET.SubElement(made, "details").text = details


def _text(element: ET.Element) -> str:
    ET.indent(element)
    body = ET.tostring(element, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
