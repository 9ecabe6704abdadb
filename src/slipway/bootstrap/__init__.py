"""What runs before anything is installed: standard library only, and Python 3.8 will do."""
