"""The part of `host/` for Windows."""
