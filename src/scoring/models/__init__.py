"""A model: what it takes and gives, and its ways to a prediction."""
