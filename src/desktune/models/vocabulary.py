"""Words that a tokenizer would cut into pieces, added to it as tokens of their own, and rows of the model for them.

A new row starts as the mean of the old ones, the same on every load, so that base, adapter, merge and resume agree on
it. ``resize_token_embeddings`` of transformers would draw it at random, and would tie a head that the checkpoint keeps
apart (T5 v1.1): its weights would be lost without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from transformers import AddedToken

from desktune.errors import AdapterError


def add_tokens(tokenizer: Any, texts: Sequence[str]) -> None:
    """Give a tokenizer new tokens. They are words, not special tokens: answers keep them, data may write them.

    Raises:
        AdapterError: a text is in the vocabulary already, or this tokenizer cannot read or write it as one token.
    """
    known = tokenizer.get_vocab()
    for text in texts:
        if text in known:
            raise AdapterError(f"adapter.new_tokens: {text!r} is in the vocabulary already; take it out of the list")
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in texts])
    for text in texts:
        index = tokenizer.convert_tokens_to_ids(text)
        read = tokenizer(f"a {text} b", add_special_tokens=False, verbose=False)["input_ids"].count(index)
        written = str(tokenizer.decode([index])).strip()
        if read != 1 or written != text:
            raise AdapterError(
                f"adapter.new_tokens: {text!r}: this tokenizer ({type(tokenizer).__name__}) cannot take it: it "
                f"{f'writes it as {written!r}' if read == 1 else 'does not read it as one token'}; "
                "write it with plain letters and signs"
            )


def new_ids(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Return the ids of tokens that were added."""
    return [int(tokenizer.convert_tokens_to_ids(text)) for text in texts]


def keeps_spaces(tokenizer: Any, text: str) -> bool:
    """Return whether an added token comes back with the spaces around it (sentencepiece of T5 and Marian loses one)."""
    ids = tokenizer(f"a {text} a", add_special_tokens=False, verbose=False)["input_ids"]
    return str(tokenizer.decode(ids)).strip() == f"a {text} a"


def fit_vocabulary(model: Any, tokenizer: Any) -> None:
    """Give a model a row for every token of its tokenizer; a model that has them is left alone.

    Raises:
        AdapterError: the model class cannot be given more rows.
    """
    _keep_head_apart(model)
    before = int(model.get_input_embeddings().weight.shape[0])
    needed = max([len(tokenizer), *(index + 1 for index in tokenizer.added_tokens_decoder)])
    if needed <= before:
        return
    try:
        model.resize_token_embeddings(needed, mean_resizing=False)
    except NotImplementedError as error:
        raise _cannot_grow(model) from error
    if any(isinstance(module, nn.Embedding) and module.num_embeddings == before for module in model.modules()):
        raise _cannot_grow(model)
    with torch.no_grad():
        for weight in _weights(model):
            weight[before:] = weight[:before].float().mean(dim=0).to(weight.dtype)


def embedding_name(model: Any) -> str:
    """Return the name of the place that ``get_input_embeddings`` reads.

    peft wraps modules by name and follows ties from there alone. Marian's embedding is one object in three places; at
    the first of them, which nothing reads, peft would train rows in vain.
    """
    shared = model.get_input_embeddings()
    for place, module in list(model.named_modules(remove_duplicate=False)):
        if module is shared:
            parent, _, last = place.rpartition(".")
            setattr(model.get_submodule(parent), last, nn.Identity())
            is_read = model.get_input_embeddings() is not shared
            setattr(model.get_submodule(parent), last, shared)
            if is_read:
                return place
    raise _cannot_grow(model)


def head_name(model: Any) -> str | None:
    """Return the name of a head with weights of its own, or None where it shares those of the embedding."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is embedding.weight:
        return None
    return next(name for name, module in model.named_modules() if module is head)


def _keep_head_apart(model: Any) -> None:
    """Let transformers and peft tie what this checkpoint ties, not what its class could tie.

    Loading leaves a head that differs from the embedding as it is, but the class's own list still says "tied".
    """
    if isinstance(model._tied_weights_keys, dict):
        model._tied_weights_keys = dict(model.all_tied_weights_keys)


def _weights(model: Any) -> Iterator[torch.Tensor]:
    """Yield the weights that have a row per token, shared ones once."""
    yield model.get_input_embeddings().weight
    if head_name(model) is not None:
        yield model.get_output_embeddings().weight


def _cannot_grow(model: Any) -> AdapterError:
    return AdapterError(
        f"adapter.new_tokens: {type(model).__name__} has vocabularies that cannot grow together; "
        "train without new tokens, or take a model with one vocabulary"
    )
