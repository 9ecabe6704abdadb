"""The process that answers, or the one above several that do."""
