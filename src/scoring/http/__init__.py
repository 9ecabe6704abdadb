"""Requests and answers: uvicorn's protocol with a short way for predictions, ASGI for all else."""
