"""Schedules equal transformers' at every step; optimizer state survives a round trip bit by bit."""

import pytest
import torch
import transformers
from torch import nn

from desktune.config.schema import TrainingSection
from desktune.train.optim import (
    build_optimizer,
    count_warmup_steps,
    learning_rate,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_schedules_equal_transformers(name: str, warmup: int) -> None:
    section = TrainingSection(lr_scheduler_type=name, warmup_steps=warmup, learning_rate=0.5)
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    kind = "constant_with_warmup" if name == "constant" else name
    schedule = transformers.get_scheduler(kind, reference, num_warmup_steps=warmup, num_training_steps=40)
    for step in range(40):
        assert learning_rate(section, step, 40, warmup) == pytest.approx(
            schedule.get_last_lr()[0], rel=1e-12, abs=1e-15
        )
        reference.step()
        schedule.step()


def test_warmup_from_share_or_number() -> None:
    assert count_warmup_steps(TrainingSection(warmup_ratio=0.03), 101) == 4
    assert count_warmup_steps(TrainingSection(warmup_steps=0), 101) == 0


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad()
    model(torch.randn(4, 6)).pow(2).sum().backward()
    set_learning_rate(optimizer, 1e-2)
    optimizer.step()


@pytest.mark.parametrize(
    ("optim", "arguments"), [("adamw", {"betas": [0.8, 0.9]}), ("adafactor", {}), ("sgd", {"momentum": 0.9})]
)
def test_state_by_name_goes_on_bit_by_bit(optim: str, arguments: dict) -> None:
    section = TrainingSection(optim=optim, optim_args=arguments)
    straight, resumed = two_layers(), two_layers()
    first = build_optimizer(straight.named_parameters(), section)
    for number in range(3):
        step(straight, first, number)
    tensors = optimizer_tensors(first, straight.named_parameters())
    resumed.load_state_dict(straight.state_dict())
    second = build_optimizer(resumed.named_parameters(), section)
    load_optimizer_tensors(second, resumed.named_parameters(), tensors)
    for number in range(3, 6):
        step(straight, first, number)
        step(resumed, second, number)
    for mine, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_norms_and_biases_do_not_decay() -> None:
    optimizer = build_optimizer(two_layers().named_parameters(), TrainingSection(weight_decay=0.5))
    by_decay = {group["weight_decay"]: [tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups}
    assert by_decay == {0.5: [(5, 6), (3, 5)], 0.0: [(5,), (5,), (5,), (3,)]}
