"""The loop and its neighbours."""
