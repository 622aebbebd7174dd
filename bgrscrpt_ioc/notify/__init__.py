"""Sends notices by mail and webhooks. The command line uses it; the IOC imports none of it."""
