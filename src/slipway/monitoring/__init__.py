"""Is what is served still right: drift against the reference of the training, and truth that comes later."""
