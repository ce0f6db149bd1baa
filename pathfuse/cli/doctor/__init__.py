"""`pathfuse doctor`: what of an installation is as it should be, and what is not."""
