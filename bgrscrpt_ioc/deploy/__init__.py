"""Makes the files that a site needs around an IOC: units, boot directories, manifests. Pure."""
