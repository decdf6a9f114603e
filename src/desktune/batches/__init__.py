"""Which rows make an optimizer step, and how they become tensors."""
