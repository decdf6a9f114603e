"""Tiny random models of every family, with real tokenizers of their kind, made from config classes."""

from __future__ import annotations

from tests.zoo import bart, causal, multilingual, pairs, t5

BUILDERS = {**t5.BUILDERS, **bart.BUILDERS, **pairs.BUILDERS, **multilingual.BUILDERS, **causal.BUILDERS}
