"""`pathfuse plugins`: components listed, shown, checked, and begun anew."""
