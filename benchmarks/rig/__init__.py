"""What tests and benchmarks share: the real IOC, clients and peers as processes."""
