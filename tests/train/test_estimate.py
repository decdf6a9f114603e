"""The cost of a run, against the models themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.bundles import open_tiny, text_rows
from tests.zoo import BUILDERS

from desktune.config.schema import AdapterSection, Config
from desktune.data.store import EncodedSet
from desktune.models.adapters import make_trainable
from desktune.train import checkpoint
from desktune.train.estimate import estimate, trained_parameters, try_steps, weight_shapes
from desktune.train.memory import activation_bytes

Zoo = Callable[[str], Path]


@pytest.mark.parametrize("name", list(BUILDERS))
@pytest.mark.parametrize("section", [AdapterSection(r=4), AdapterSection(r=4, target_modules="attention")])
def test_trained_parameters_are_counted_from_headers(name: str, section: AdapterSection, zoo: Zoo) -> None:
    bundle = open_tiny(zoo(name))
    guessed = trained_parameters(weight_shapes(bundle.located.folder), bundle.family, section)
    real = make_trainable(bundle, section, 1, lambda event: None)
    assert guessed == sum(weight.numel() for _, weight in checkpoint.named_trained(real.model))


def test_steps_tokens_and_memory(zoo: Zoo) -> None:
    bundle = open_tiny(zoo("t5"))
    rows = EncodedSet.from_rows(text_rows(bundle))
    config = Config.model_validate({"training": {"num_train_epochs": 4, "per_device_train_batch_size": 2}})
    found = estimate(config, bundle.located, rows, 4096)
    lengths = rows.input_lengths + rows.label_lengths
    assert found.steps == 12
    assert found.tokens == 4 * lengths.sum()
    assert found.activations_bytes <= activation_bytes(bundle.located.config) * 2 * lengths.max()
    full = estimate(Config.model_validate({"adapter": {"type": "none"}}), bundle.located, rows, 4096)
    assert full.trained == full.parameters == sum(weight.numel() for weight in bundle.model.parameters())
    assert full.optimizer_bytes == 3 * full.weights_bytes == 12 * full.parameters
    assert full.checkpoints_bytes == 3 * full.optimizer_bytes


def test_trying_steps_changes_nothing(zoo: Zoo) -> None:
    bundle = make_trainable(open_tiny(zoo("llama")), AdapterSection(r=4), 1, lambda event: None)
    before = {name: weight.clone() for name, weight in bundle.model.state_dict().items()}
    config = Config.model_validate({"training": {"per_device_train_batch_size": 2}})
    assert try_steps(bundle, EncodedSet.from_rows(text_rows(bundle)), config.training, 512) > 0
    after = bundle.model.state_dict()
    assert all(after[name].equal(weight) for name, weight in before.items())
    assert all(weight.grad is None for weight in bundle.model.parameters())
