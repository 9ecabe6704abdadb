"""The model server: runs inside the image, and as a process of its lock's environment with RUNTIME=host."""
