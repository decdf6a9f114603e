"""Renderers of events: the terminal, files of the run folder, TensorBoard, W&B."""
