"""How far maps can be believed: what hiding places costs, what the truth says, and what the map depends on."""
