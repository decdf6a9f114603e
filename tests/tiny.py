"""Tiny random models with real tokenizers of their kind: a second or two each. ``tests/zoo`` builds them."""

from __future__ import annotations

from tests.zoo import BUILDERS

__all__ = ["BUILDERS"]
