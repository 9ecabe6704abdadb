"""Bodies to rows, predictions to bodies: every form of input and output."""
