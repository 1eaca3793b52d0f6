"""Published sets: one layout a file."""
