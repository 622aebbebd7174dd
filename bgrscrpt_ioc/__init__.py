"""An EPICS soft IOC that keeps an instrument's background scripts running."""

__version__ = "0.1.0"
