"""What an instance may use of the host, and what it uses."""
