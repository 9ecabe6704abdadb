"""A cluster as it is: how to ask it, what it allows, who changes it, what was there before."""
