"""Tiny models opened as bundles, and a few encoded rows of text for each."""

from __future__ import annotations

from pathlib import Path

import torch

from desktune.config.schema import AdapterSection, DataSection, ModelSection
from desktune.data.encode import Kit, encode
from desktune.models.adapters import make_trainable
from desktune.models.load import Bundle, Placement, load_base, load_tokenizer, locate
from desktune.rows import Encoded, Origin, Rendered

FAMILIES = ["t5", "marian", "llama"]  # one of each task; tests/zoo has all of them
DIRECTIONS = {  # of the families that are told languages
    "M2M100Tokenizer": ("en", "fr"),
    "NllbTokenizer": ("eng_Latn", "fra_Latn"),
    "MBartTokenizer": ("en_XX", "fr_XX"),
    "MBart50Tokenizer": ("en_XX", "fr_XX"),
    "MarianTokenizer": (None, "fra"),
    "T5Tokenizer": (None, "fr"),
}
PAIRS = [
    ("the dog sees a cat", "le chien voit un chat"),
    ("my house is red", "ma maison est rouge"),
    ("two men", "deux hommes ouvrent la porte près de la rivière"),
    ("she reads 12 books today near the river", "elle lit 12 livres"),
    ("a bird sings", "un oiseau"),
]


def open_tiny(folder: Path, adapter: AdapterSection | None = None) -> Bundle:
    """Open a tiny model, with an adapter whose weights are not zero where one is wanted."""
    located = locate(ModelSection(name=str(folder)))
    tokenizer = load_tokenizer(located)
    bundle = load_base(located, tokenizer, located.family.task, Placement(torch.device("cpu"), torch.float32))
    if adapter is None:
        return bundle
    bundle = make_trainable(bundle, adapter, 1, lambda event: None)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in bundle.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    return bundle


def text_rows(bundle: Bundle) -> list[Encoded]:
    """Return the pairs as encoded rows."""
    kit = Kit.of(bundle.tokenizer, bundle.family, bundle.task)
    told = DIRECTIONS[type(bundle.tokenizer).__name__] if kit.languages else (None, None)
    rendered = [
        Rendered(Origin("pairs", number + 1), "pair", *pair, source_lang=told[0], target_lang=told[1])
        for number, pair in enumerate(PAIRS)
    ]
    return [row for row in encode(rendered, kit, DataSection()) if isinstance(row, Encoded)]
