"""Campaign types tried on simulated people."""
