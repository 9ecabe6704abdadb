"""A search for a script's best arguments: trials of it by Optuna, of which the best is trained and registered."""
