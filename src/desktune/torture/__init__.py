"""Faults on the user's own machine: killed processes, full disks, flipped bits, and whether a run survives them."""
