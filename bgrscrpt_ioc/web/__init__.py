"""The web page: a process of its own, and an ordinary client of any number of IOCs."""
