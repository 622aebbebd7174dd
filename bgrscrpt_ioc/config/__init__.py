"""Settings: command line, TOML, environment and EPICS macros, checked and frozen.

pydantic is imported without a look for its plugins, which would read what every installed package
says of itself: 14 ms, and 2 MB of the IOC's memory.
"""

from bgrscrpt_ioc.lean import no_plugins, without

with without("importlib.metadata", no_plugins()):
    import bgrscrpt_ioc.config.settings  # noqa: F401
