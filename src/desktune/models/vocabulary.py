"""Words that a tokenizer would cut into pieces, added to it as tokens of their own, and rows of the model for them.

A new row starts as the mean of the old ones, the same on every load, so that base, adapter, merge and resume agree on
it. ``resize_token_embeddings`` of transformers would draw it at random, and would tie a head that the checkpoint keeps
apart (T5 v1.1): its weights would be lost without a word.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from transformers import AddedToken, PreTrainedModel, PreTrainedTokenizerBase

from desktune.errors import AdapterError


def add_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
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


def new_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """Return the ids of tokens that were added."""
    return [int(tokenizer.convert_tokens_to_ids(text)) for text in texts]  # pyright: ignore[reportArgumentType]


def keeps_spaces(tokenizer: PreTrainedTokenizerBase, text: str) -> bool:
    """Return whether an added token comes back with the spaces around it (sentencepiece of T5 and Marian loses one)."""
    ids = tokenizer(f"a {text} a", add_special_tokens=False, verbose=False)["input_ids"]
    return str(tokenizer.decode(ids)).strip() == f"a {text} a"


def fit_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a model a row for every token of its tokenizer; a model that has them is left alone.

    Raises:
        AdapterError: the model class cannot be given more rows.
    """
    _keep_head_apart(model)
    before = int(model.get_input_embeddings().weight.shape[0])  # pyright: ignore[reportArgumentType]
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


def name_ties(model: PreTrainedModel) -> str:
    """Give every place of the embedding a module of its own around the same weights; return the name of the first.

    peft wraps modules by name and follows the ties from the module that ``get_input_embeddings`` returns. Marian's is
    one object in three places, and peft would train rows at the place that nothing reads.
    """
    shared = model.get_input_embeddings()
    for place in [name for name, module in model.named_modules(remove_duplicate=False) if module is shared][1:]:
        parent, _, last = place.rpartition(".")
        twin = copy.copy(shared)
        twin._parameters = dict(shared._parameters)
        setattr(model.get_submodule(parent), last, twin)
    embedding = model.get_input_embeddings()
    first = next(name for name, module in model.named_modules() if module is embedding)
    alike = [name for name, one in model.named_parameters(remove_duplicate=False) if one is embedding.weight]
    model._tied_weights_keys = {name: f"{first}.weight" for name in alike if name != f"{first}.weight"}
    return first


def head_name(model: PreTrainedModel) -> str | None:
    """Return the name of a head with weights of its own, or None where it shares those of the embedding."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is embedding.weight:
        return None
    return next(name for name, module in model.named_modules() if module is head)


def _keep_head_apart(model: PreTrainedModel) -> None:
    """Let transformers and peft tie what this checkpoint ties, not what its class could tie.

    Loading leaves a head that differs from the embedding as it is, but the class's own list still says "tied".
    """
    if isinstance(model._tied_weights_keys, dict):
        model._tied_weights_keys = dict(model.all_tied_weights_keys)


def _weights(model: PreTrainedModel) -> Iterator[torch.Tensor]:
    """Yield the weights that have a row per token, shared ones once."""
    yield model.get_input_embeddings().weight  # pyright: ignore[reportReturnType]
    if head_name(model) is not None:
        yield model.get_output_embeddings().weight  # pyright: ignore[reportOptionalMemberAccess, reportReturnType]


def _cannot_grow(model: PreTrainedModel) -> AdapterError:
    return AdapterError(
        f"adapter.new_tokens: {type(model).__name__} has vocabularies that cannot grow together; "
        "train without new tokens, or take a model with one vocabulary"
    )
