"""Memory in use, and a deterministic size for micro-batches. Never from timing or trial."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

import torch

_BYTES_OF_A_FLOAT = 4
_ACTIVATIONS_PER_LAYER = 40  # floats per hidden unit and layer kept for the backward pass (Korthikanti et al. 2022: 34)
_SHARE_FOR_ACTIVATIONS = 0.3  # of the device's memory; the rest is weights, optimizer and the system
_FEWEST_TOKENS, _MOST_TOKENS = 512, 16_384


def memory_in_use(device: torch.device) -> int:
    """Return bytes: the peak of the process (CPU), or what the device's allocator holds."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def token_budget(model_config: Mapping[str, Any], device_bytes: int) -> int:
    """Return the padded tokens of a micro-batch whose activations fit into a share of a device's memory.

    Per token: the activations of all layers, and the logits with their gradient and softmax (three vocabularies).
    """
    hidden = _first(model_config, "d_model", "hidden_size", "n_embd")
    layers = _first(model_config, "num_layers", "encoder_layers", "num_hidden_layers", "n_layer")
    layers += _first(model_config, "num_decoder_layers", "decoder_layers", default=0)
    vocabulary = _first(model_config, "vocab_size")
    per_token = _BYTES_OF_A_FLOAT * (_ACTIVATIONS_PER_LAYER * hidden * layers + 3 * vocabulary)
    return int(min(_MOST_TOKENS, max(_FEWEST_TOKENS, _SHARE_FOR_ACTIVATIONS * device_bytes / per_token)))


def _first(config: Mapping[str, Any], *names: str, default: int = 1024) -> int:
    """Return the first of several names that a config has."""
    return next((int(config[name]) for name in names if config.get(name) is not None), default)
