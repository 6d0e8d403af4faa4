"""Campaign types as pictures."""
