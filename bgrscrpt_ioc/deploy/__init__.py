"""What a site needs around an IOC, as text: units, boot directories, manifests, lists. Pure."""
