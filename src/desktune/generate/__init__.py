"""Texts out of a model."""
