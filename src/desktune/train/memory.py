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
    """Return the padded tokens of a micro-batch whose activations fit into a share of a device's memory."""
    fitting = _SHARE_FOR_ACTIVATIONS * device_bytes / activation_bytes(model_config)
    return int(min(_MOST_TOKENS, max(_FEWEST_TOKENS, fitting)))


def activation_bytes(model_config: Mapping[str, Any]) -> int:
    """Return what a token holds for the backward pass: all layers, and the logits with their gradient and softmax."""
    hidden, layers, vocabulary = _sizes(model_config)
    return _BYTES_OF_A_FLOAT * (_ACTIVATIONS_PER_LAYER * hidden * layers + 3 * vocabulary)


def cache_bytes(model_config: Mapping[str, Any]) -> int:
    """Return what a token holds while texts are generated: keys and values of all layers (float32)."""
    hidden, layers, _ = _sizes(model_config)
    return _BYTES_OF_A_FLOAT * 2 * hidden * layers


def _sizes(model_config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return hidden size, layers of encoder and decoder together, and vocabulary."""
    parts = [part for part in (model_config.get("encoder"), model_config.get("decoder")) if isinstance(part, Mapping)]
    if parts:  # T5Gemma, EncoderDecoderModel: two configs in one
        sizes = [_sizes(part) for part in parts]
        return max(one[0] for one in sizes), sum(one[1] for one in sizes), sizes[-1][2]
    hidden = _first(model_config, "d_model", "hidden_size", "n_embd")
    layers = _first(model_config, "num_layers", "encoder_layers", "num_hidden_layers", "n_layer")
    layers += _first(model_config, "num_decoder_layers", "decoder_layers", default=0)
    return hidden, layers, _first(model_config, "vocab_size")


def _first(config: Mapping[str, Any], *names: str, default: int = 1024) -> int:
    """Return the first of several names that a config has."""
    return next((int(config[name]) for name in names if config.get(name) is not None), default)
