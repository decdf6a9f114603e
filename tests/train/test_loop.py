"""The loop on real tiny models: right loss and gradient, whole resume, honest about NaN and memory."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from desktune import durable
from desktune.batches.collate import Shape, collate
from desktune.batches.collate import shape_of as shape_from
from desktune.batches.order import micro_batches
from desktune.config.schema import AdapterSection, EvaluationSection, ModelSection, TrainingSection
from desktune.data.store import EncodedSet
from desktune.errors import Diverged, OutOfMemory, Stopped
from desktune.events import Evaluated, Event, Step, Warn
from desktune.models.adapters import make_trainable
from desktune.models.load import Bundle, Placement, load_base, load_tokenizer, locate
from desktune.objective.loss import summed_loss, trained_tokens
from desktune.rows import IGNORE, Encoded, Origin
from desktune.train import checkpoint, loop
from desktune.train.loop import Loop, Recipe, TrainingRows

FAMILIES = ["t5", "marian", "llama"]
FULL, LORA = AdapterSection(type="none"), AdapterSection(r=4, lora_dropout=0.1)


def load(folder: Path, adapter: AdapterSection = FULL) -> Bundle:
    located = locate(ModelSection(name=str(folder)))
    tokenizer = load_tokenizer(located)
    bundle = load_base(located, tokenizer, located.family.task, Placement(torch.device("cpu"), torch.float32))
    return make_trainable(bundle, adapter, 1, lambda event: None)


def shape_of(bundle: Bundle) -> Shape:
    return shape_from(bundle.family, bundle.tokenizer, bundle.located.config)


def without_dropout(model: torch.nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(module.__dict__.get(name), float):
                setattr(module, name, 0.0)


@pytest.fixture
def folders(tiny_t5: Path, tiny_marian: Path, tiny_llama: Path) -> dict[str, Path]:
    return {"t5": tiny_t5, "marian": tiny_marian, "llama": tiny_llama}


def rows_for(bundle: Bundle, count: int, seed: int = 0) -> list[Encoded]:
    """Random token ids of many lengths; causal rows mask their first half."""
    random = torch.Generator().manual_seed(seed)
    eos, vocabulary = bundle.tokenizer.eos_token_id, 40
    rows = []
    for number in range(count):
        source = torch.randint(
            5, vocabulary, (int(torch.randint(2, 14, (1,), generator=random)),), generator=random
        ).tolist()
        target = torch.randint(
            5, vocabulary, (int(torch.randint(1, 9, (1,), generator=random)),), generator=random
        ).tolist()
        if bundle.family.encoder_decoder:
            ids, labels = [*source, eos], [*target, eos]
        else:
            ids, labels = [*source, *target, eos], [*[IGNORE] * len(source), *target, eos]
        rows.append(Encoded(Origin("rows", number + 1), tuple(ids), tuple(labels), len(source), "", ""))
    return rows


def make_loop(
    bundle: Bundle, run: Path, events: list[Event] | None = None, budget: int = 4096, **training: object
) -> Loop:
    section = TrainingSection(**{"eval_strategy": "no", "save_strategy": "no", "learning_rate": 1e-2, **training})
    rows = TrainingRows(EncodedSet.from_rows(rows_for(bundle, 40)), EncodedSet.from_rows(rows_for(bundle, 9, seed=9)))
    emit = (lambda event: None) if events is None else events.append
    return Loop(bundle, rows, Recipe(section, EvaluationSection(), budget, None), run, emit)


@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_the_models_own(family: str, folders: dict[str, Path]) -> None:
    """Against the loss inside the model classes of transformers, one row at a time (no padding)."""
    bundle = load(folders[family])
    for row in rows_for(bundle, 5):
        batch = collate([row], shape_of(bundle))
        reference = bundle.model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
        mine = summed_loss(bundle.model, batch) / trained_tokens(batch)
        assert mine.item() == pytest.approx(reference.item(), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_batch_is_the_sum_of_its_rows(family: str, folders: dict[str, Path]) -> None:
    bundle = load(folders[family])
    rows = rows_for(bundle, 12)
    with torch.no_grad():
        together = summed_loss(bundle.model, collate(rows, shape_of(bundle))).item()
        apart = sum(summed_loss(bundle.model, collate([row], shape_of(bundle))).item() for row in rows)
    assert together == pytest.approx(apart, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_does_not_depend_on_micro_batches_or_accumulation(
    family: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """One step over 16 rows: as 1 x 16 or 4 x 4 rows, whole or in micro-batches of one row."""
    gradients = []
    for rows, accumulation, budget in [(16, 1, 10_000), (4, 4, 10_000), (16, 1, 60), (8, 2, 1)]:
        bundle = load(folders[family])
        without_dropout(bundle.model)
        one = make_loop(
            bundle, tmp_path, budget=budget, per_device_train_batch_size=rows, gradient_accumulation_steps=accumulation
        )
        _, step = one.order.rows_of(0)
        one._gradient(micro_batches(step, one.input_lengths, one.label_lengths, budget))
        gradients.append(
            torch.cat([p.grad.flatten() for _, p in checkpoint.named_trained(bundle.model) if p.grad is not None])
        )
    for other in gradients[1:]:
        assert torch.linalg.vector_norm(other - gradients[0]) / torch.linalg.vector_norm(gradients[0]) < 1e-6


@pytest.mark.parametrize(("family", "adapter"), [("t5", FULL), ("marian", LORA), ("llama", LORA)])
def test_resume_is_bit_identical(
    family: str, adapter: AdapterSection, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Dropout on, three epochs, resumed in the middle of the second: same weights, optimizer and losses."""
    options = {
        "max_steps": 12,
        "save_strategy": "steps",
        "save_steps": 4,
        "per_device_train_batch_size": 8,
        "logging_steps": 1,
    }
    events: list[Event] = []
    straight = make_loop(
        load(folders[family], adapter), tmp_path / "a", events, eval_strategy="steps", eval_steps=3, **options
    )
    straight.run()
    again: list[Event] = []
    second = make_loop(
        load(folders[family], adapter), tmp_path / "b", again, eval_strategy="steps", eval_steps=3, **options
    )
    second.resume(checkpoint.folder_of(tmp_path / "a", 8))
    second.run()
    for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER):
        first_file, second_file = (checkpoint.folder_of(tmp_path / which, 12) / name for which in "ab")
        mine, other = load_file(first_file), load_file(second_file)
        assert mine.keys() == other.keys()
        assert mine
        assert all(torch.equal(mine[key], other[key]) for key in mine)
    losses = [(event.step, event.loss) for event in events if isinstance(event, Step)]
    assert losses[8:] == [(event.step, event.loss) for event in again if isinstance(event, Step)]


def test_model_is_changed_only_where_it_is_trained(folders: dict[str, Path], tmp_path: Path) -> None:
    bundle = load(folders["marian"], LORA)
    before = {name: tensor.clone() for name, tensor in bundle.model.state_dict().items()}
    make_loop(bundle, tmp_path, max_steps=3).run()
    changed = {name for name, tensor in bundle.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


def test_marian_start_row_stays_zero(folders: dict[str, Path], tmp_path: Path) -> None:
    bundle = load(folders["marian"])
    pad = bundle.tokenizer.pad_token_id
    shared = bundle.model.get_input_embeddings().weight
    with torch.no_grad():
        shared[pad].zero_()
    make_loop(bundle, tmp_path, max_steps=5).run()
    assert torch.count_nonzero(shared[pad]) == 0
    assert torch.count_nonzero(shared[pad - 1]) > 0


def test_best_checkpoint_is_kept_and_patience_stops(folders: dict[str, Path], tmp_path: Path) -> None:
    events: list[Event] = []
    one = make_loop(
        load(folders["t5"]),
        tmp_path,
        events,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=2,
        learning_rate=3.0,
        optim="sgd",
        warmup_ratio=0.0,
        max_grad_norm=5.0,
        early_stopping_patience=3,
        max_steps=40,
    )
    result = one.run()
    values = {event.step: event.metrics["eval_loss"] for event in events if isinstance(event, Evaluated)}
    best = min(values, key=lambda step: values[step])
    assert result.position.stopped_early
    assert result.position.best_step == best == max(values) - 3
    assert [folder.name for folder in checkpoint.all_of(tmp_path)] == sorted(
        {f"step-{step:06d}" for step in (best, max(values) - 1, max(values))}
    )
    assert all(durable.verify(folder) == [] for folder in checkpoint.all_of(tmp_path))


def test_non_finite_gradient_is_never_stepped(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A NaN in step 3: that step is skipped and said, with the rows' places; the rest goes on finite."""
    events: list[Event] = []
    one = make_loop(load(folders["t5"]), tmp_path, events, max_steps=6)
    honest = loop.summed_loss

    def poisoned(model: object, batch: dict, smoothing: float) -> torch.Tensor:
        return honest(model, batch, smoothing) * (float("nan") if one.position.step == 2 else 1.0)

    monkeypatch.setattr(loop, "summed_loss", poisoned)
    result = one.run()
    assert result.position.skipped_steps == 1
    assert [event for event in events if isinstance(event, Warn) and "step 3" in event.text and "rows:" in event.text]
    assert all(torch.isfinite(p).all() for p in one.model.parameters())


def test_five_in_a_row_diverge(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_loop(load(folders["t5"]), tmp_path, max_steps=20, save_strategy="steps", save_steps=2)
    honest = loop.summed_loss
    monkeypatch.setattr(
        loop,
        "summed_loss",
        lambda model, batch, smoothing: honest(model, batch, smoothing) * (math.inf if one.position.step > 3 else 1),
    )
    with pytest.raises(Diverged, match=r"5 steps in a row.*step-000008|5 steps in a row.*step-00000[468]"):
        one.run()


def test_out_of_memory_halves_micro_batches_and_trains_the_same(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No micro-batch over 4 rows fits: the weights are those of a run where all fit."""
    easy = make_loop(load(folders["llama"]), tmp_path / "easy", max_steps=4, optim="sgd")
    easy.run()
    events: list[Event] = []
    tight = make_loop(load(folders["llama"]), tmp_path / "tight", events, max_steps=4, optim="sgd")
    honest = loop.summed_loss

    def small_memory(model: object, batch: dict, smoothing: float) -> torch.Tensor:
        if len(batch["input_ids"]) > 4:
            raise torch.OutOfMemoryError("no room")
        return honest(model, batch, smoothing)

    monkeypatch.setattr(loop, "summed_loss", small_memory)
    tight.run()
    assert [event for event in events if isinstance(event, Warn) and "out of memory" in event.text]
    for mine, other in zip(easy.model.parameters(), tight.model.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_out_of_memory_with_one_row_says_what_to_do(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(model: object, batch: dict, smoothing: float) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(loop, "summed_loss", no_memory)
    with pytest.raises(OutOfMemory, match="gradient_checkpointing"):
        make_loop(load(folders["t5"]), tmp_path, max_steps=1).run()


def test_signal_saves_a_checkpoint(folders: dict[str, Path], tmp_path: Path) -> None:
    events: list[Event] = []
    before = signal.getsignal(signal.SIGTERM)

    def at_step_three(event: Event) -> None:
        events.append(event)
        if isinstance(event, Step) and event.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    one = make_loop(load(folders["t5"]), tmp_path, max_steps=50, logging_steps=1)
    one.emit = at_step_three
    with pytest.raises(Stopped) as stopped:
        one.run()
    assert stopped.value.exit_code == 143
    assert [folder.name for folder in checkpoint.all_of(tmp_path)] == ["step-000003"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_damaged_checkpoint_is_passed_over(folders: dict[str, Path], tmp_path: Path) -> None:
    make_loop(load(folders["t5"]), tmp_path, max_steps=4, save_strategy="steps", save_steps=2).run()
    weights = checkpoint.folder_of(tmp_path, 4) / checkpoint.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    events: list[Event] = []
    assert checkpoint.newest(tmp_path, events.append) == checkpoint.folder_of(tmp_path, 2)
    assert "step-000004" in events[0].text  # type: ignore[union-attr]


def test_copy_task_is_learnt(folders: dict[str, Path], tmp_path: Path) -> None:
    """End to end: 40 rows by heart in a minute's worth of tiny steps."""
    events: list[Event] = []
    one = make_loop(
        load(folders["llama"]),
        tmp_path,
        events,
        max_steps=120,
        learning_rate=1e-2,
        per_device_train_batch_size=20,
        logging_steps=20,
    )
    one.run()
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert losses[-1] < 0.3 < losses[0]


def test_checkpointing_activations_changes_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    """Gradient checkpointing recomputes what it forgot; the weights are the same."""
    results = []
    for wanted in (False, True):
        one = make_loop(load(folders["t5"], LORA), tmp_path / str(wanted), max_steps=3, gradient_checkpointing=wanted)
        one.run()
        results.append([p.detach().clone() for _, p in checkpoint.named_trained(one.model)])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*results, strict=True))
