"""From a candidate to @champion and back, with what is remembered of it in the registry."""
