"""What runs beside the models on this machine: MLflow and Postgres, their secrets and backups, a registry of images."""
