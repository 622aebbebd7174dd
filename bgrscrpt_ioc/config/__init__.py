"""Settings from command line, TOML, environment and EPICS macros, checked and frozen.

pydantic is imported without looking for its plugins. That would read the metadata of every
installed package: 14 ms, and 2 MB of the IOC's memory.
"""

from bgrscrpt_ioc.host.lean import no_plugins, without

with without("importlib.metadata", no_plugins()):
    import bgrscrpt_ioc.config.iocsettings  # noqa: F401
