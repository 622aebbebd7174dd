"""Settings from command line, TOML, environment and EPICS macros, checked and frozen.

pydantic is imported without looking for its plugins. That would read the metadata of every
installed package: 14 ms, and 2 MB of the IOC's memory. `secrets`, which pydantic needs to compare
secret values, would import OpenSSL: 3 MB.
"""

from bgrscrpt_ioc.host.lean import later, no_plugins, without

with without("importlib.metadata", no_plugins()), without("secrets", later("secrets")):
    import bgrscrpt_ioc.config.iocsettings  # noqa: F401
