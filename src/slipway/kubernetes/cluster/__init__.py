"""A cluster's state: kubectl, rights, locks, and recovery of earlier objects."""
