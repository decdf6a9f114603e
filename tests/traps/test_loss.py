"""The loss of a step against its definition, where the trainers of transformers and TRL count otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.bundles import open_tiny, text_rows

from desktune.batches.collate import collate, shape_of
from desktune.config.schema import AdapterSection, DataSection, EvaluationSection, TrainingSection
from desktune.data.encode import Kit, encode
from desktune.data.store import EncodedSet
from desktune.models.adapters import make_trainable
from desktune.models.load import Bundle
from desktune.objective.loss import summed_loss
from desktune.rows import IGNORE, Encoded, Origin, Rendered
from desktune.train.loop import Loop, Recipe, TrainingRows

Zoo = Callable[[str], Path]
CAUSAL = ["llama", "opt", "gpt2", "qwen3"]
EVERY = ["t5", "t5-v1.1", "bart", "marian", "m2m100", "mbart", "mbart50", *CAUSAL]


def reference(bundle: Bundle, rows: list[Encoded]) -> tuple[float, torch.Tensor]:
    """Mean loss over the trained tokens of all rows, and its gradient, one row and one token at a time."""
    bundle.model.zero_grad(set_to_none=True)
    total, count = torch.tensor(0.0), 0
    for row in rows:
        batch = collate([row], shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
        labels = batch.pop("labels")[0].tolist()
        chances = torch.log_softmax(bundle.model(**batch).logits[0], dim=-1)
        shift = 0 if bundle.family.encoder_decoder else 1
        for place in range(shift, len(labels)):
            if labels[place] != IGNORE:
                total = total - chances[place - shift, labels[place]]
                count += 1
    (total / count).backward()
    return float(total.detach()) / count, gradient(bundle)


def gradient(bundle: Bundle) -> torch.Tensor:
    return torch.cat([p.grad.flatten().clone() for p in bundle.model.parameters() if p.grad is not None])


def one_step(bundle: Bundle, rows: list[Encoded], run: Path, accumulation: int) -> tuple[float, torch.Tensor]:
    """The loop's own gradient of one step in as many micro-batches as there are rows."""
    section = TrainingSection(
        per_device_train_batch_size=len(rows) // accumulation,
        gradient_accumulation_steps=accumulation,
        eval_strategy="no",
    )
    recipe = Recipe(section, EvaluationSection(), 1, None)
    loop = Loop(bundle, TrainingRows(EncodedSet.from_rows(rows), None), recipe, run, lambda event: None)
    bundle.model.train = lambda mode=True: bundle.model  # without dropout
    loss, tokens = loop._gradient([[index] for index in range(len(rows))])
    return loss / tokens, gradient(bundle)


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("name", EVERY)
def test_loss_and_gradient_do_not_grow_with_accumulation(
    name: str, accumulation: int, zoo: Zoo, tmp_path: Path
) -> None:
    """X1 and X19: one mean over the trained tokens of the step, in every family."""
    bundle = make_trainable(open_tiny(zoo(name)), AdapterSection(type="none"), 1, lambda event: None)
    rows = text_rows(bundle)[:4]
    wanted, wanted_gradient = reference(bundle, rows)
    found, found_gradient = one_step(bundle, rows, tmp_path, accumulation)
    assert found == pytest.approx(wanted, rel=1e-5)
    assert torch.linalg.vector_norm(found_gradient - wanted_gradient) < 1e-4 * torch.linalg.vector_norm(wanted_gradient)


@pytest.mark.parametrize("name", ["m2m100", "nllb"])
def test_label_smoothing_works_without_help_of_the_model(name: str, zoo: Zoo) -> None:
    """X2: M2M100 has no ``prepare_decoder_input_ids_from_labels``; the collator makes what its decoder reads."""
    bundle = open_tiny(zoo(name))
    batch = collate(text_rows(bundle), shape_of(bundle.family, bundle.tokenizer, bundle.located.config))
    labels = batch["labels"]
    assert torch.equal(batch["decoder_input_ids"][:, 0], torch.full((len(labels),), 2))
    kept = labels[:, :-1] != IGNORE
    assert torch.equal(batch["decoder_input_ids"][:, 1:][kept], labels[:, :-1][kept])
    with torch.no_grad():
        plain, smooth = summed_loss(bundle.model, batch).item(), summed_loss(bundle.model, batch, 0.1).item()
        chances = torch.log_softmax(
            bundle.model(**{key: value for key, value in batch.items() if key != "labels"}).logits, -1
        )
    spread = -chances.mean(-1)[labels != IGNORE].sum().item()
    assert smooth == pytest.approx(0.9 * plain + 0.1 * spread, rel=1e-5)


@pytest.mark.parametrize("name", CAUSAL)
def test_rows_of_a_batch_do_not_see_each_other(name: str, zoo: Zoo) -> None:
    """X4: nothing is packed; a row's loss is the same beside any other."""
    bundle = open_tiny(zoo(name))
    rows, shape = text_rows(bundle), shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
    with torch.no_grad():
        alone = [summed_loss(bundle.model, collate([row], shape)).item() for row in rows]
        beside = [summed_loss(bundle.model, collate([row, rows[3]], shape)).item() for row in rows]
    assert [both - alone[3] for both in beside] == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("name", CAUSAL)
def test_only_completions_are_trained(name: str, zoo: Zoo) -> None:
    """X5: the prompt of a pair is context, with and without a chat template, and without any setting."""
    bundle = open_tiny(zoo(name))
    for row in text_rows(bundle):
        trained = [label for label in row.labels if label != IGNORE]
        written = bundle.tokenizer.decode(trained, skip_special_tokens=True).strip()
        assert written == row.completion
        assert trained[-1] == bundle.tokenizer.eos_token_id
        assert set(row.labels[: row.prompt_length]) == {IGNORE}


def test_nothing_is_cut_away_in_silence(zoo: Zoo) -> None:
    """X23: a row whose answer lies behind the limit is a reject with its place, never a row without labels."""
    bundle = open_tiny(zoo("llama"))
    kit = Kit.of(bundle.tokenizer, bundle.family, bundle.task)
    rows = [Rendered(Origin("rows", n), "pair", "the dog sees " * n, "a cat") for n in range(1, 9)]
    for overlong in ("drop", "truncate"):
        found = list(encode(rows, kit, DataSection(max_length=24, overlong=overlong)))
        assert len(found) == len(rows)
        kept = [one for one in found if isinstance(one, Encoded)]
        assert 0 < len(kept) < len(rows)
        for row in kept:
            assert any(label not in (IGNORE, kit.tokenizer.eos_token_id) for label in row.labels)
            assert len(row.input_ids) <= 24
        assert all(one.reason in ("overlong", "no-trained-token") for one in found if not isinstance(one, Encoded))
