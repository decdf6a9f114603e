"""Find, load, adapt and save models."""
