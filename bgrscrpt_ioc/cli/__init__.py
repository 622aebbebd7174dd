"""The command line: `bgrscrpt-ioc` and its Channel Access client."""
