"""The reference page, the JSON schema and the contract's names agree with the schema."""

from __future__ import annotations

import json
from pathlib import Path

import desktune.config.reference as reference
from desktune.config import describe
from desktune.config.load import loads
from desktune.config.schema import Config
from desktune.config.tree import parse

COMMITTED = Path(reference.__file__).with_name("reference.yaml")

# defaults that the contract of names fixes (its block of YAML); the starter stands for the model and null for the data
CONTRACT = """\
task: auto
model: {name: starter:t5, revision: null, dtype: auto, device: auto, quantization: none, trust_remote_code: false,
  attn_implementation: auto}
data: {train: null, validation: 0.1, test: null, format: auto, fields: {}, template: "{source}", source_lang: null,
  target_lang: null, max_source_length: 512, max_target_length: 512, max_length: 1024, overlong: drop,
  max_rejected: 0.01, cleaning: {}}
adapter: {type: lora, r: 16, lora_alpha: 32, lora_dropout: 0.05, target_modules: all-linear}
training: {num_train_epochs: 3, max_steps: null, per_device_train_batch_size: 8, gradient_accumulation_steps: 1,
  tokens_per_step: null, tokens_per_batch: auto, learning_rate: 2e-4, lr_scheduler_type: cosine, warmup_ratio: 0.03,
  weight_decay: 0.01, max_grad_norm: 1.0, optim: adamw, optim_args: {}, loss: cross_entropy,
  label_smoothing_factor: 0.0, gradient_checkpointing: false, eval_strategy: steps, eval_steps: 50,
  per_device_eval_batch_size: 8, max_eval_samples: null, eval_accumulation_steps: null, save_strategy: steps,
  save_steps: 50, save_total_limit: 3, logging_steps: 10, early_stopping_patience: null,
  metric_for_best_model: eval_loss, load_best_model_at_end: true, seed: 42, engine: desktune}
evaluation: {metrics: auto, predict_with_generate: true, max_new_tokens: 256, smoke_test: true}
generation: {max_new_tokens: 256, num_beams: 4, variants: {}}
tracking: {report_to: [], project: desktune}
output: {dir: null, name: null, push_to_hub: false, hub_model_id: null, hub_private: true}
"""


def test_the_committed_page_is_the_generated_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == reference.reference_yaml(), (
        "run: python -m desktune.config.reference > src/desktune/config/reference.yaml"
    )


def test_the_page_reads_back_as_the_defaults() -> None:
    text = reference.reference_yaml().replace("  train: null", "  train: pairs.json")
    config = loads(text, "reference.yaml", check_files=False).config
    assert config.model_copy(update={"data": config.data.model_copy(update={"train": None})}) == Config()


def test_every_key_has_a_meaning_and_its_bounds() -> None:
    text = reference.reference_yaml()
    assert len(describe.known_keys()) > 70
    for path, field in describe.known_keys().items():
        assert field.description, path
        assert f"{path[-1]}: " in text
        assert reference.comment(path)[0].startswith("  # ")
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_contract_of_names_is_kept() -> None:
    wanted, defaults = parse(CONTRACT, "names").tree, Config().model_dump()
    for name, value in wanted.items():
        for key, inner in value.items() if isinstance(value, dict) else []:
            assert defaults[name][key] == inner, (name, key)
    assert list(wanted) == list(defaults)


def test_allowed_values_in_words() -> None:
    words = {
        ("task",): "auto, seq2seq, translation or causal",
        ("adapter", "r"): "a whole number from 1 to 4,096",
        ("adapter", "lora_dropout"): "a number from 0 to under 1",
        ("training", "learning_rate"): "a number over 0 to 100",
        ("training", "eval_strategy"): "steps, epoch or no",
        ("adapter", "target_modules"): "all-linear, attention or a list of texts",
        ("model", "trust_remote_code"): "true or false",
    }
    assert {path: describe.allowed(path) for path in words} == words


def test_json_schema_is_closed_and_described() -> None:
    schema = reference.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    training = schema["$defs"]["TrainingSection"]
    assert training["additionalProperties"] is False
    assert training["properties"]["learning_rate"] == {
        "default": 0.0002,
        "description": "peak",
        "exclusiveMinimum": 0,
        "maximum": 100,
        "title": "Learning Rate",
        "type": "number",
    }
    json.dumps(schema, allow_nan=False)
