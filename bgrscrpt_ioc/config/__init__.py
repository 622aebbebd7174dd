"""Settings: command line, TOML, environment and EPICS macros, checked and frozen."""
