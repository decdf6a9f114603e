"""Settings that would lead into a trap of a library are refused by name until their guard is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from desktune.cli.main import run
from desktune.config.load import load
from desktune.errors import ConfigError

CLOSED = [
    ("X3", "model: {quantization: 4bit}", "not built yet"),
    ("X3", "model: {load_in_4bit: true}", "not built yet"),
    ("X4", "training: {packing: true}", "training.packing: unknown key"),
    ("X4", "training: {padding_free: true}", "training.padding_free: unknown key"),
    ("X5", "training: {completion_only_loss: false}", "unknown key"),
    ("X6", "adapter: {modules_to_save: [lm_head]}", "adapter.modules_to_save: unknown key"),
    ("X7", "adapter: {type: pissa}", "allowed: lora, dora, rslora or none"),
    ("X7", "adapter: {init_lora_weights: pissa_niter_4}", "adapter.init_lora_weights: unknown key"),
    ("X8", "model: {quantization: quanto}", "model.quantization"),
    ("X8", "model: {quantization: 8bit}", "not built yet"),
    ("X18", "training: {neftune_noise_alpha: 5}", "training.neftune_noise_alpha: unknown key"),
    ("X22", "training: {fsdp: full_shard}", "training.fsdp: unknown key"),
]


@pytest.mark.parametrize(("trap", "text", "said"), CLOSED, ids=[f"{row[0]}-{row[1]}" for row in CLOSED])
def test_config_refuses(trap: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n', encoding="utf-8")
    config = tmp_path / "desktune.yaml"
    config.write_text(f"data: {{train: {tmp_path / 'rows.jsonl'}}}\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        load(config)


def test_export_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """X9 and X10 end in CTranslate2."""
    assert run(["export", "runs/one", "--to", "ctranslate2"]) == 2
    assert "not built yet" in capsys.readouterr().err
