"""The only room that knows the operating system. Other rooms use the names in `system`."""
