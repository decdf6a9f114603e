"""Loading: every fault with its line and remedy, all of them at once, and configs that come back equal."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from desktune.config import describe
from desktune.config.load import Loaded, default_path, dump, load, loads
from desktune.config.schema import Config
from desktune.errors import ConfigError

DATA = "data: {train: pairs.json}\n"  # line 1 of most texts below


def ok(text: str, *overrides: str) -> Loaded:
    return loads(DATA + text, "d.yaml", overrides, check_files=False)


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ok(text, *overrides)
    return caught.value.faults


COUNT = "a whole number from 1 to 2,147,483,647"
VALUES = [
    ("training: {lerning_rate: 1e-4}", "d.yaml:2: training.lerning_rate: unknown key; did you mean 'learning_rate'?"),
    ("learning_rate: 1e-4", "d.yaml:2: learning_rate: unknown key here; belongs to training:"),
    ("data2: {}", "d.yaml:2: data2: unknown key; did you mean 'data'?"),
    ("batch_size: 8", "d.yaml:2: batch_size: unknown key here; belongs to training:, as per_device_train_batch_size"),
    ("model: {r: 8}", "d.yaml:2: model.r: unknown key here; belongs to adapter:"),
    ("lora: {r: 8}", "d.yaml:2: lora: unknown section; did you mean 'adapter'?"),
    ("max_new_tokens: 8", "d.yaml:2: max_new_tokens: unknown key here; belongs to evaluation: or generation:"),
    ("model: {lora_alpa: 8}", "d.yaml:2: model.lora_alpa: unknown key; did you mean 'lora_alpha' of adapter:?"),
    (
        "tracking: {zzz: 1}",
        "d.yaml:2: tracking.zzz: unknown key; allowed: report_to, project",
    ),
    ("training: 5", "d.yaml:2: training: found 5; training is a section: put keys below it"),
    ("model: [a]", "d.yaml:2: model: found the list ['a']; model is a section: put keys below it"),
    (
        "task: causl",
        "task: found the text 'causl'; allowed: auto, seq2seq, translation or causal; did you mean 'causal'?",
    ),
    ("training:\n  max_steps: 0", f"d.yaml:3: training.max_steps: found 0; allowed: {COUNT} or null"),
    ("training: {seed: 18446744073709551616}", "allowed: a whole number from 0 to 9,223,372,036,854,775,807"),
    ("training: {learning_rate: -1e-4}", "found -0.0001; allowed: a number over 0 to 100"),
    ("training: {learning_rate: -0.0}", "found -0.0; allowed: a number over 0 to 100"),
    ("training: {learning_rate: null}", "found null; allowed: a number over 0 to 100"),
    ("training: {learning_rate: '1e-4'}", "found the text '1e-4'; allowed: a number over 0 to 100; write 1e-4 without"),
    ("adapter: {r: '16'}", "found the text '16'; allowed: a whole number from 1 to 4,096; write 16 without quotes"),
    ("adapter: {r: true}", "found true; allowed: a whole number from 1 to 4,096"),
    ("adapter: {r: 16.0}", "found 16.0; allowed: a whole number from 1 to 4,096; write 16"),
    ("adapter: {r: 5000}", "found 5000; allowed: a whole number from 1 to 4,096"),
    (
        "training: {max_steps: 1_000}",
        "found the text '1_000'; allowed: " + COUNT + " or null; write 1000 without quotes",
    ),
    ("training: {gradient_checkpointing: yes}", "found the text 'yes'; allowed: true or false"),
    ("training: {gradient_checkpointing: 1}", "found 1; allowed: true or false"),
    ("training: {eval_strategy: false}", "found false; allowed: steps, epoch or no"),
    ("adapter: {lora_dropout: 1}", "found 1; allowed: a number from 0 to under 1"),
    ("model: {name: 7}", 'found 7; allowed: text; write "7" for a text'),
    ("model: {name: ''}", "found the text ''; allowed: text"),
    ("data: {validation: 1.5}", "given twice; the first one is d.yaml:1"),
    (
        "evaluation: {metrics: [bleu, rouge]}",
        "allowed: auto or a list of these: bleu, chrf, ter, rouge1, rouge2, rougeL or exact_match",
    ),
    ("generation: {variants: {a: 3}}", "allowed: a mapping {name: {key: value}}"),
    ("training: {seed: .nan}", "d.yaml:2: training.seed: .nan is not a finite number"),
    ("training: {max_grad_norm: .inf}", "d.yaml:2: training.max_grad_norm: .inf is not a finite number"),
]
NOT_BUILT = [
    ("model: {quantization: 4bit}", "model.quantization: the text '4bit' is known, but not built yet", "none"),
    ("model: {load_in_8bit: true}", "model.load_in_8bit: the text '8bit' is known, but not built yet", "none"),
    ("training: {loss: focal}", "training.loss: the text 'focal' is known, but not built yet", "cross_entropy"),
    ("training: {loss: my.loss.Class}", "the text 'my.loss.Class' is known, but not built yet", "cross_entropy"),
    ("training: {optim: lion}", "the text 'lion' is known, but not built yet", "adamw, adafactor or sgd"),
    (
        "tracking: {report_to: [wandb, mlflow]}",
        "the text 'mlflow' is known, but not built yet",
        "a list of these: tensorboard or wandb",
    ),
    ("output: {push_to_hub: true}", "output.push_to_hub: true is known, but not built yet", "false"),
]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_one_fault_one_line(text: str, expected: str) -> None:
    found = faults(text)
    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].startswith("d.yaml:")
    assert "pydantic" not in found[0]
    assert "http" not in found[0]


@pytest.mark.parametrize(("text", "expected", "allowed"), NOT_BUILT)
def test_values_of_later_versions_are_known(text: str, expected: str, allowed: str) -> None:
    assert faults(text) == [faults(text)[0]]
    assert expected in faults(text)[0]
    assert faults(text)[0].endswith(f"in this version; allowed: {allowed}")


ALIASES = [
    (
        "training: {batch_size: 2}",
        ("training", "per_device_train_batch_size"),
        2,
        "read as per_device_train_batch_size",
    ),
    ("training: {epochs: 1}", ("training", "num_train_epochs"), 1, "training.epochs: read as num_train_epochs"),
    ("training: {lr: 3e-4}", ("training", "learning_rate"), 3e-4, "training.lr: read as learning_rate"),
    (
        "training: {grad_accum: 2}",
        ("training", "gradient_accumulation_steps"),
        2,
        "read as gradient_accumulation_steps",
    ),
    ("training: {warmup: 0.1}", ("training", "warmup_ratio"), 0.1, "training.warmup: read as warmup_ratio"),
    ("training: {warmup: 100}", ("training", "warmup_steps"), 100, "training.warmup: read as warmup_steps"),
    ("training: {scheduler: linear}", ("training", "lr_scheduler_type"), "linear", "read as lr_scheduler_type"),
    ("training: {evaluation_strategy: no}", ("training", "eval_strategy"), "no", "read as eval_strategy"),
    ("training: {bf16: true}", ("model", "dtype"), "bfloat16", "training.bf16: read as model.dtype bfloat16"),
    ("training: {fp16: false}", ("model", "dtype"), "auto", "training.fp16: false sets nothing here"),
    ("training: {optim: adamw_torch}", ("training", "optim"), "adamw", "training.optim: adamw_torch read as adamw"),
    (
        "training: {metric_for_best_model: loss}",
        ("training", "metric_for_best_model"),
        "eval_loss",
        "loss read as eval_loss",
    ),
    ("training: {report_to: none}", ("tracking", "report_to"), [], "training.report_to: read as tracking.report_to"),
    ("adapter: {lora_r: 8}", ("adapter", "r"), 8, "adapter.lora_r: read as r"),
    ("adapter: {alpha: 8}", ("adapter", "lora_alpha"), 8, "adapter.alpha: read as lora_alpha"),
    ("adapter: {dropout: 0}", ("adapter", "lora_dropout"), 0, "adapter.dropout: read as lora_dropout"),
    ("model: {model_name: a/b}", ("model", "name"), "a/b", "model.model_name: read as name"),
    ("model: a/b", ("model", "name"), "a/b", "model: read as model.name"),
    ("base_model: a/b", ("model", "name"), "a/b", "base_model: read as model.name"),
    ("model: {dtype: fp32}", ("model", "dtype"), "float32", "model.dtype: fp32 read as float32"),
]


@pytest.mark.parametrize(("text", "path", "value", "note"), ALIASES)
def test_other_tools_spellings_are_read_and_said(text: str, path: tuple[str, str], value: object, note: str) -> None:
    loaded = ok(text)
    assert loaded.config.model_dump()[path[0]][path[1]] == value
    assert any(note in one for one in loaded.notes), loaded.notes


def test_train_ratio_becomes_the_validation_share() -> None:
    loaded = loads("data: {train: a, train_ratio: 0.9}", "d.yaml", check_files=False)
    assert loaded.config.data.validation == 0.1
    assert loaded.notes == ("data.train_ratio: read as validation 0.1",)
    with pytest.raises(ConfigError, match=r"data.train_ratio: found 90; allowed: a number over 0 to 1"):
        loads("data: {train: a, train_ratio: 90}", "d.yaml", check_files=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "training:\n  lr: 1e-3\n  learning_rate: 1e-3",
            "d.yaml:4: training.learning_rate: sets training.learning_rate, as training.lr does (d.yaml:3); keep one",
        ),
        (
            "training: {bf16: true}\nmodel: {dtype: float32}",
            "d.yaml:3: model.dtype: sets model.dtype, as training.bf16 does (d.yaml:2); keep one",
        ),
    ],
)
def test_alias_beside_the_real_key_is_a_fault(text: str, expected: str) -> None:
    assert faults(text) == [expected]


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    text = """\
task: seq2sec
modle: {name: x}
data:
  train: missing.json
  template: "a {b.c} {"
  validation: 0
training:
  lerning_rate: 1
  max_steps: ten
  seed: .nan
  seed: 5
  early_stopping_patience: 3
output: {name: ../x}
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "d.yaml", ["training.eval_steps=0", "nonsense", "trainin.x=1"])
    places = [line.partition(": ")[0] for line in caught.value.faults]
    lines = [f"d.yaml:{line}" for line in (1, 2, 4, 5, 5, 8, 9, 10, 11, 12, 13)]
    assert places == [*lines, "override training.eval_steps=0", "override nonsense", "override trainin.x=1"]
    assert str(caught.value).count("\n") == len(places) - 1


def test_a_wrong_value_is_reported_once() -> None:
    assert len(faults("data2: 1\noutput: {name: 5}")) == 2
    with pytest.raises(ConfigError) as caught:
        loads("data: {train: 5}", "d.yaml")
    assert len(caught.value.faults) == 1
    with pytest.raises(ConfigError) as caught:
        loads("data: {data_path: .nan}", "d.yaml")
    assert len(caught.value.faults) == 1


def test_hostile_text_in_faults_is_cut_and_printable() -> None:
    found = faults('training: {"a\\e[31m' + "x" * 500 + '": 1, optim: "\\e]0;' + "y" * 500 + '"}')
    assert len(found) == 2
    assert all(line.isprintable() and len(line) < 300 for line in found)


@pytest.mark.parametrize("text", ["", "# nothing\n", "data:\n", "{}"])
def test_empty_configs_miss_their_data(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^d.yaml(:1)?: data.train: missing; name a file of rows"):
        loads(text, "d.yaml")


OVERRIDES = [
    (["training.learning_rate=1e-3"], ("training", "learning_rate"), 1e-3),
    (["training.lr=1e-3", "training.lr=1e-2"], ("training", "learning_rate"), 1e-2),
    (["data.source_lang=no"], ("data", "source_lang"), "no"),
    (["training.max_steps=null"], ("training", "max_steps"), None),
    (["adapter.target_modules=[q, v]"], ("adapter", "target_modules"), ["q", "v"]),
    (["data.template={source}"], ("data", "template"), "{source}"),
    (["data.template=say: {source}"], ("data", "template"), "say: {source}"),
    (['data.template="say {source}"'], ("data", "template"), "say {source}"),
    (["data.fields.source=q", "data.fields.target=a"], ("data", "fields"), {"source": "q", "target": "a"}),
    (["generation.variants.warm.num_beams=1"], ("generation", "variants"), {"warm": {"num_beams": 1}}),
    (["model=a/b"], ("model", "name"), "a/b"),
    (["data.train={en: a.en, fr: a.fr}"], ("data", "train"), {"en": "a.en", "fr": "a.fr"}),
]


@pytest.mark.parametrize(("overrides", "path", "value"), OVERRIDES)
def test_overrides_are_yaml(overrides: list[str], path: tuple[str, str], value: object) -> None:
    assert ok("", *overrides).config.model_dump()[path[0]][path[1]] == value


BAD_OVERRIDES = [
    ("training.lerning_rate=1", "training.lerning_rate: unknown key; did you mean 'learning_rate'?"),
    ("learning_rate=1", "learning_rate: unknown key here; belongs to training:"),
    ("training.max_steps='5'", "training.max_steps: found the text '5'; allowed: " + COUNT),
    ("training.max_steps=", "training.max_steps: no value after '='"),
    ("training.seed=.nan", "training.seed: .nan is not a finite number"),
    ("training", "an override is section.key=value"),
    (".x=1", "an override is section.key=value"),
    ("model.name.x=1", "model.name.x: model.name has no keys below it; allowed: text"),
    ("training.optim_args=[", "training.optim_args: a bracket that is not closed"),
    ("training={seed: 1}", "training: found the mapping {'seed': 1}; training is a section: put keys below it"),
]


@pytest.mark.parametrize(("override", "expected"), BAD_OVERRIDES)
def test_faults_of_overrides_name_the_override(override: str, expected: str) -> None:
    found = faults("", override)
    assert len(found) == 1
    assert found[0].startswith(f"override {override}: {expected}")


def test_an_override_of_one_entry_leaves_the_others_their_line() -> None:
    text = "generation:\n  variants:\n    a:\n      beamz: 2\n"
    found = faults(text, "generation.variants.a.top_p=2")
    assert found[0].startswith("d.yaml:5: generation.variants.a.beamz: unknown key")
    assert found[1].startswith("override generation.variants.a.top_p=2: generation.variants.a.top_p: found 2")


def test_an_override_wins_over_what_it_excludes() -> None:
    loaded = ok(
        "training: {num_train_epochs: 7, tokens_per_step: 100}", "training.max_steps=5", "training.batch_size=2"
    )
    training = loaded.config.training
    assert (training.max_steps, training.num_train_epochs, training.tokens_per_step) == (5, 3, None)
    assert "training.num_train_epochs (d.yaml:2) gives way to override training.max_steps=5" in loaded.notes


def test_round_trip_of_random_configs() -> None:
    chance = random.Random(7)
    for _ in range(150):
        config = loads(_random_text(chance), "d.yaml", check_files=False).config
        assert loads(dump(config), "again.yaml", check_files=False).config == config


def _random_text(chance: random.Random) -> str:
    texts = [
        "no",
        "1e-4",
        "x: y",
        "# z",
        "",
        "é😀",
        "\u2028",
        "a\tb\n",
        "'",
        '"',
        "010",
        "null",
        "~",
        " x ",
        "-",
        "{x}",
        "*a",
        "\x7f",
    ]
    text = chance.choice(texts)
    values = {
        ("data", "source_lang"): text,
        ("data", "fields"): {"source": chance.choice(texts) or "x", "target": "no"},
        ("data", "template"): "{a b}" + chance.choice(["", "é", "{{", " # x: ", "\n"]),
        ("data", "validation"): chance.choice([0, 7, 0.25, 0.0, "v.json", ["a", "b"], {"en": "a", "no": "b"}]),
        ("training", "learning_rate"): chance.choice([1e-5, 3e-4, 0.1, 1, 99.5, 1e-30, 0.1 + 0.2]),
        ("training", "max_steps"): chance.choice([None, 1, 10**6]),
        ("training", "tokens_per_step"): chance.choice([None, 4096]),
        ("training", "warmup_steps"): chance.choice([None, 0]),
        ("training", "optim_args"): chance.choice([{}, {"betas": [0.9, 0.98], "eps": 1e-9}]),
        ("adapter", "target_modules"): chance.choice(["attention", ["q", "v.0"]]),
        ("generation", "variants"): chance.choice([{}, {"a": {"temperature": 0.4, "do_sample": True}, "no": {}}]),
        ("output", "dir"): chance.choice([None, "C:\\runs", "~/runs/x y", "1.5"]),
        ("tracking", "report_to"): chance.choice([[], ["wandb", "tensorboard"]]),
    }
    if values["data", "validation"] == {"en": "a", "no": "b"}:
        values["data", "train"] = {"en": "c", "no": "d"}
        values["data", "source_lang"] = chance.choice([None, "no"])
    chosen = {path: value for path, value in values.items() if chance.random() < 0.7 or path[0] == "data"}
    lines = ["task: auto"]
    for section in describe.sections():
        import json

        keys = {path[1]: value for path, value in chosen.items() if path[0] == section}
        if section == "data":
            keys.setdefault("train", "a.json")
        lines.append(f"{section}: {json.dumps(keys)}")
    return "\n".join(lines)


def test_loaded_configs_are_frozen() -> None:
    config = ok("").config
    with pytest.raises(ValidationError):
        config.training.seed = 1  # type: ignore[misc]


def test_load_reads_files_and_names_them(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text('[{"source": "a", "target": "b"}]', encoding="utf-8")
    path = tmp_path / "desktune.yaml"
    path.write_bytes(b"\xef\xbb\xbfdata:\r\n  train: " + str(tmp_path / "pairs.json").encode() + b"\r\n")
    assert load(path).source == str(path)
    as_json = tmp_path / "config.json"
    as_json.write_text('{\n\t"data": {"train": "x.json"},\n\t"training": {"lr": "a"}\n}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(as_json)
    assert [line.removeprefix(str(tmp_path)) for line in caught.value.faults] == [
        "/config.json:2: data.train: x.json: no such file; name a file that exists",
        "/config.json:3: training.lr: found the text 'a'; allowed: a number over 0 to 100",
    ]


def test_load_of_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config file; desktune init DATA"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)


def test_default_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no config here"):
        default_path(tmp_path)
    for name in ("config.yml", "config.yaml", "desktune.yaml"):
        (tmp_path / name).write_text("", encoding="utf-8")
        assert default_path(tmp_path).name == name


def test_loading_is_light() -> None:
    code = (
        "import sys, time; import desktune.config.load;"
        "assert not {'torch', 'transformers', 'pyarrow'} & set(sys.modules);"
        "print(time.process_time())"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(2)
    ]
    assert min(seconds) < 0.3


def test_defaults_are_a_config() -> None:
    assert Config() == Config.model_validate({})


def test_nothing_gives_way_to_an_override_that_replaces_it_itself() -> None:
    loaded = ok("training: {tokens_per_step: 100}", "training.batch_size=2", "training.tokens_per_step=null")
    assert loaded.config.training.tokens_per_step is None
    assert loaded.notes == ("training.batch_size: read as per_device_train_batch_size",)
