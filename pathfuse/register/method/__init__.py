"""Methods of registration that come with pathfuse."""
