"""The model server: runs inside the image, and as a process of .venv with RUNTIME=host."""
