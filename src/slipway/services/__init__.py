"""Services on this machine: MLflow and Postgres, their secrets and backups, the image registry."""
