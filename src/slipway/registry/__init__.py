"""The one way to MLflow: its registry, the versions in it, and their files."""
