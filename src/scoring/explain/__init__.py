"""Explanations: what each input column adds to a prediction, so that all of them and a base add up to it."""
