"""The part of `host/` for Linux."""
