"""From a candidate to @champion and back, and the records of it in the registry."""
