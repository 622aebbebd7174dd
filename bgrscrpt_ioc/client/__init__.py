"""What every Channel Access client of ours shares: the commands and the web page."""
