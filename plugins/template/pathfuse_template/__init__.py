"""A pathfuse plug-in to start from."""
