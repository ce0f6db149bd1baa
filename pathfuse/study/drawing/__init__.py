"""How the figures of a study are drawn, a file per kind."""
