"""What the deployer measures: the figures of the served model, and its own for Prometheus."""
