"""Load tests of a served model: callers that wait for each answer, or requests at a rate."""
