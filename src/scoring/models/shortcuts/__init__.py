"""The arithmetic of models and transformers, without the checks around it."""
