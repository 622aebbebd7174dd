"""One IOC: its instances, what they share, the server; from start to end, and a reload between."""
