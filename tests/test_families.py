"""The columns of the table, each against the model classes of transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from desktune.batches.collate import collate, shape_of
from desktune.families import FAMILIES, lookup
from desktune.models.adapters import linear_names
from tests.bundles import open_tiny, text_rows
from tests.zoo import BUILDERS

Zoo = Callable[[str], Path]


@pytest.mark.parametrize("name", list(BUILDERS))
def test_every_tiny_model_has_its_row(name: str, zoo: Zoo) -> None:
    config = json.loads((zoo(name) / "config.json").read_text(encoding="utf-8"))
    family = lookup(config)
    assert family.inferred == ""
    assert family.encoder_decoder == bool(config.get("is_encoder_decoder"))


@pytest.mark.parametrize("name", list(BUILDERS))
def test_adapter_targets_are_there(name: str, zoo: Zoo) -> None:
    bundle = open_tiny(zoo(name))
    names = linear_names(bundle.model)
    assert set(bundle.family.attention) <= set(names)
    assert "lm_head" not in names


@pytest.mark.parametrize("name", list(BUILDERS))
def test_head_is_as_the_table_says(name: str, zoo: Zoo) -> None:
    """Logits from the last hidden states by the columns of the head, against the model's own."""
    bundle = open_tiny(zoo(name))
    model, family, config = bundle.model, bundle.family, bundle.located.config
    if family.logits_bias:
        model.final_logits_bias.normal_()
    batch = collate(text_rows(bundle)[:1], shape_of(family, bundle.tokenizer, config))
    batch.pop("labels")
    with torch.no_grad():
        out = model(**batch, output_hidden_states=True)
        hidden = (out.decoder_hidden_states if family.encoder_decoder else out.hidden_states)[-1]
        scale = config["d_model"] ** -0.5 if family.scaled_head and config["scale_decoder_outputs"] else 1.0
        head = model.get_output_embeddings()
        mine = torch.nn.functional.linear(hidden * scale, head.weight, head.bias)
        if family.logits_bias:
            mine = mine + model.final_logits_bias
    cap = config.get("final_logit_softcapping") or config.get("decoder", {}).get("final_logit_softcapping")
    if cap:
        mine = cap * torch.tanh(mine / cap)
    if name != "bert2bert":  # BERT's head has a layer of its own before the vocabulary
        assert torch.allclose(mine, out.logits, atol=1e-5)


def test_an_unknown_type_is_inferred_aloud() -> None:
    assert "nothing-known" in lookup({"model_type": "nothing-known", "is_encoder_decoder": True}).inferred
    assert lookup({"model_type": "nothing-known", "is_encoder_decoder": True}).encoder_decoder
    assert not lookup({"model_type": "other"}).encoder_decoder


def test_unknown_type_works_all_the_way(zoo: Zoo, tmp_path: Path) -> None:
    """Blenderbot is not in the table: it loads through its AutoModel class, and its loss is the model's own."""
    from transformers import AutoTokenizer, BlenderbotConfig, BlenderbotForConditionalGeneration

    from desktune.objective.loss import summed_loss, trained_tokens

    AutoTokenizer.from_pretrained(zoo("bart")).save_pretrained(tmp_path)
    size = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 64}
    tokens = {"vocab_size": 360, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    torch.manual_seed(0)
    BlenderbotForConditionalGeneration(BlenderbotConfig(**size, **heads, **tokens)).save_pretrained(tmp_path)
    bundle = open_tiny(tmp_path)
    assert bundle.family.inferred
    batch = collate(text_rows(bundle)[:1], shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    reference = bundle.model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
    assert (summed_loss(bundle.model, batch) / trained_tokens(batch)).item() == pytest.approx(
        reference.item(), rel=1e-6
    )


def test_names_are_unique() -> None:
    names = [family.name for family in FAMILIES.values()]
    assert len(set(names)) == len(names)
