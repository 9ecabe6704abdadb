"""A search whose trials are Jobs of a cluster, and whose best is trained there."""
