"""Model versions, MLflow and trainings in a cluster."""
