"""What runs on your machine and in CI: from a training script to a served model."""
