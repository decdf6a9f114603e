"""Rules between keys: each has a text that breaks it and one that keeps it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from desktune.config.load import loads
from desktune.config.rules import RULES
from desktune.config.rules_data import DATA_RULES
from desktune.errors import ConfigError

# (rule, text that breaks it, the fault, text that keeps it)
TABLE = [
    (
        "exclusive",
        "training:\n  num_train_epochs: 3\n  max_steps: 10",
        "d.yaml:4: training.max_steps: contradicts training.num_train_epochs (d.yaml:3); keep",
        "training: {max_steps: 10}",
    ),
    (
        "exclusive",
        "training: {tokens_per_step: 100, batch_size: 8}",
        "d.yaml:2: training.batch_size: contradicts training.tokens_per_step (d.yaml:2)",
        "training: {tokens_per_step: null, batch_size: 8}",
    ),
    (
        "exclusive",
        "training: {gradient_accumulation_steps: 2, tokens_per_step: 100}",
        "training.gradient_accumulation_steps: contradicts training.tokens_per_step",
        "training: {tokens_per_step: 100}",
    ),
    (
        "exclusive",
        "training: {warmup_steps: 5, warmup_ratio: 0.1}",
        "training.warmup_ratio: contradicts training.warmup_steps",
        "training: {warmup_steps: 0}",
    ),
    (
        "validation_wanted",
        "training: {eval_strategy: no, early_stopping_patience: 3}",
        "training.early_stopping_patience: needs validation, but eval_strategy is no",
        "training: {eval_strategy: epoch, early_stopping_patience: 3}",
    ),
    (
        "validation_wanted",
        "training: {eval_strategy: no, metric_for_best_model: eval_chrf}",
        "training.metric_for_best_model: eval_chrf needs validation, but eval_strategy is no",
        "training: {eval_strategy: no}",
    ),
    (
        "metric_exists",
        "training: {metric_for_best_model: eval_blue}",
        "'eval_blue'; allowed: eval_loss, eval_perplexity, eval_bits_per_byte, eval_bleu, eval_chrf, "
        "eval_ter, eval_rouge1, eval_rouge2, eval_rougeL, eval_exact_match; did you mean 'eval_bleu'?",
        "training: {metric_for_best_model: eval_bleu}",
    ),
    (
        "metric_exists",
        "training: {metric_for_best_model: bleu}\nevaluation: {metrics: [chrf]}",
        "d.yaml:2: training.metric_for_best_model: eval_bleu is not measured; add bleu to evaluation.metrics",
        "training: {metric_for_best_model: chrf}\nevaluation: {metrics: [chrf]}",
    ),
    (
        "metric_exists",
        "task: causal\ntraining: {metric_for_best_model: eval_bleu}",
        "eval_bleu is not measured; add bleu to evaluation.metrics",
        "task: translation\ntraining: {metric_for_best_model: eval_bleu}",
    ),
    (
        "metric_exists",
        "training: {metric_for_best_model: eval_chrf}\nevaluation: {predict_with_generate: false}",
        "eval_chrf needs answers, but evaluation.predict_with_generate is false",
        "evaluation: {predict_with_generate: false}",
    ),
    (
        "steps_fit",
        "training: {max_steps: 10, warmup_steps: 10}",
        "training.warmup_steps: 10 is not under max_steps, which is 10",
        "training: {max_steps: 10, warmup_steps: 9}",
    ),
    (
        "steps_fit",
        "training: {max_steps: 10, eval_steps: 50, early_stopping_patience: 2}",
        "training.eval_steps: 50 is over max_steps (10): nothing stops early",
        "training: {max_steps: 10, eval_steps: 5, early_stopping_patience: 2}",
    ),
    (
        "optimizer_arguments",
        "training:\n  optim: sgd\n  optim_args:\n    momentum: 0.9\n    betas: [0.9, 0.9]",
        "d.yaml:6: training.optim_args.betas: no argument of sgd; allowed: momentum, dampening, nesterov",
        "training: {optim: sgd, optim_args: {momentum: 0.9, nesterov: true}}",
    ),
    (
        "optimizer_arguments",
        "training: {optim_args: {betas: [0.9, 1]}}",
        "found the list [0.9, 1]; allowed: a list of two numbers from 0 to under 1",
        "training: {optim_args: {betas: [0.9, 0.98], eps: 1e-6}}",
    ),
    (
        "optimizer_arguments",
        "training: {optim: adafactor, optim_args: {clip_threshold: 1.0}}",
        "no argument of adafactor; did you mean 'd'?",
        "training: {optim: adafactor, optim_args: {d: 1.0, eps: [null, 1e-3], beta2_decay: -0.8}}",
    ),
    (
        "optimizer_arguments",
        "training: {optim: sgd, optim_args: {nesterov: true}}",
        "training.optim_args.nesterov: needs a momentum over 0",
        "training: {optim: sgd, optim_args: {nesterov: false}}",
    ),
    (
        "generation_holds",
        "generation: {min_new_tokens: 300}",
        "generation.min_new_tokens: 300 is over max_new_tokens, which is 256",
        "generation: {min_new_tokens: 256}",
    ),
    (
        "variants_hold",
        "generation:\n  variants:\n    a: {}\n    warm:\n      temperature: hot",
        "d.yaml:6: generation.variants.warm.temperature: found the text 'hot'; allowed: a number over 0 or null",
        "generation: {variants: {warm: {temperature: 0.4, do_sample: true}, greedy: {num_beams: 1}}}",
    ),
    (
        "variants_hold",
        "generation: {variants: {a: {variants: {}}}}",
        "generation.variants.a.variants: unknown key; allowed: max_new_tokens, min_new_tokens",
        "generation: {variants: {}}",
    ),
    ("variants_hold", "generation: {variants: {../a: {}}}", "the name of a variant has letters, digits", "{}"),
    (
        "names_are_plain",
        "output: {name: a/b}",
        "output.name: found the text 'a/b'; allowed: letters",
        "output: {name: a-b_1.2}",
    ),
    ("names_are_plain", "output: {name: ..}", "output.name: found the text '..'; allowed", "output: {name: a..b}"),
    (
        "names_are_plain",
        "output: {name: 'nul\\0'}".replace("'", '"'),
        "output.name: found the text",
        "output: {name: no}",
    ),
    (
        "names_are_plain",
        "output: {hub_model_id: x}",
        "output.hub_model_id: found the text 'x'; allowed: user/name",
        "output: {hub_model_id: a/b}",
    ),
    (
        "names_are_plain",
        "output: {dir: ''}",
        "output.dir: found the text ''; allowed: a folder",
        "output: {dir: runs/a}",
    ),
    (
        "modules_are_named",
        "adapter: {target_modules: []}",
        "at least one module name",
        "adapter: {type: none, r: 8, target_modules: [q]}",
    ),
    (
        "new_tokens_are_words",
        "adapter: {new_tokens: [<drug>, ' a']}",
        "texts without white space at their ends",
        "adapter: {new_tokens: [<drug>, two words]}",
    ),
    (
        "new_tokens_are_words",
        "adapter: {new_tokens: [a, b, a]}",
        "stands there 2 times",
        "adapter: {new_tokens: [a, b]}",
    ),
]
DATA_TABLE = [
    ("train_given", "data: {train: null}", "d.yaml:1: data.train: missing; name a file", "data: {train: a}"),
    (
        "pairs_have_two_sides",
        "data: {train: {en: a, fr: b, de: c}}",
        "data.train: found 3 sides (en, fr, de); allowed: two",
        "data: {train: {en: a, fr: b}}",
    ),
    (
        "pairs_have_two_sides",
        "data: {train: {en: a, fr: b}, validation: {en: a, de: b}}",
        "data.validation: has the sides en, de; allowed: those of data.train, en, fr",
        "data: {train: {en: a, fr: b}, validation: {fr: c, en: d}}",
    ),
    (
        "languages_fit",
        "data: {train: {en: a, fr: b}, source_lang: de}",
        "data.source_lang: found the text 'de'; allowed with this data.train: en or fr",
        "data: {train: {en: a, fr: b}, source_lang: fr}",
    ),
    (
        "languages_fit",
        "data: {train: {en: a, fr: b}, source_lang: en, target_lang: en}",
        "data.target_lang: the same as source_lang (en)",
        "data: {train: {source: a, target: b}, source_lang: en, target_lang: en}",
    ),
    (
        "directions_are_named",
        "data: {train: a, both_directions: true, source_lang: en}",
        "data.target_lang: found nothing; data.both_directions needs both languages, e.g. en and fr",
        "data: {train: a, both_directions: true, source_lang: en, target_lang: fr}",
    ),
    (
        "directions_are_named",
        "data: {train: {en: a, fr: b}, both_directions: true}",
        "data.both_directions: a line-parallel pair goes one way only; write rows with a source_lang each",
        "data: {train: {en: a, fr: b}}",
    ),
    (
        "answers_are_trained",
        "data: {train: a, train_on: [system, user]}",
        "data.train_on: found the list ['system', 'user']; allowed: a list with assistant or last in it",
        "data: {train: a, train_on: [system, last]}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: 'x {source'}",
        "the brace at character 3 is not closed",
        "data: {train: a, template: '{a b}'}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: '{a} }'}",
        "the brace at character 5 closes nothing; write a literal brace twice: }}",
        "data: {train: a, template: '{a} {{x}}'}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: '{}'}",
        "{} at character 1 names no field",
        "data: {train: a, template: '{{}} {x}'}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: '{a.__class__}'}",
        "{a.__class__} at character 1: only a plain field name",
        "data: {train: a, template: '{a_b}'}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: '{a!r}'}",
        "{a!r} at character 1: only a plain",
        "data: {train: a, template: '{a-b}'}",
    ),
    (
        "template_is_whole",
        "data: {train: a, template: '{a:>99999}'}",
        "{a:>99999} at character 1",
        "data: {train: a, template: 'a: {a}'}",
    ),
    ("template_is_whole", "data: {train: a, template: hello}", "at least one {field}", "data: {train: a}"),
    (
        "fields_are_ours",
        "data:\n  train: a\n  fields:\n    target: b\n    sorce: c",
        "d.yaml:5: data.fields.sorce: unknown field; did you mean 'source'?; allowed: source, target",
        "data: {train: a, fields: {source: input, id: nr}}",
    ),
    (
        "fields_are_ours",
        "data: {train: a, fields: {input: source}}",
        "unknown field; fields maps ours to theirs: write source: input",
        "data: {train: a, fields: {messages: conversations}}",
    ),
    (
        "encoding_exists",
        "data: {train: a, encoding: utf-9}",
        "data.encoding: found the text 'utf-9'",
        "data: {train: a, encoding: cp1252}",
    ),
    (
        "encoding_exists",
        "data: {train: a, encoding: hex}",
        "data.encoding: found the text 'hex'",
        "data: {train: a, encoding: UTF-16}",
    ),
    (
        "cleaning_is_known",
        "data: {train: a, cleaning: {preset: light, filters: {number: 0.5}}}",
        "data.cleaning.filters.number: no such filter; did you mean 'numbers'?",
        "data: {train: a, cleaning: {preset: light, filters: {numbers: 0.5}}}",
    ),
]


@pytest.mark.parametrize(
    ("rule", "bad", "fault", "good"),
    [
        (r, f"data: {{train: a}}\n{b}", f, f"data: {{train: a}}\n{g}" if g != "{}" else "data: {train: a}")
        for r, b, f, g in TABLE
    ]
    + DATA_TABLE,
)
def test_rule(rule: str, bad: str, fault: str, good: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(bad, "d.yaml", check_files=False)
    assert len(caught.value.faults) == 1, caught.value.faults
    assert fault in caught.value.faults[0]
    assert loads(good, "d.yaml", check_files=False)


def test_every_rule_is_in_the_tables() -> None:
    assert {rule.__name__ for rule in RULES} == {row[0] for row in TABLE}
    assert {rule.__name__ for rule in DATA_RULES} == {row[0] for row in DATA_TABLE}


def test_validation_of_nothing() -> None:
    text = "data: {train: a, validation: 0}\n"
    loaded = loads(text, "d.yaml", check_files=False)
    assert loaded.notes == ("data.validation: 0: nothing is held out; the last weights are kept as the best",)
    for more, fault in [
        ("training: {eval_strategy: epoch}", "d.yaml:2: training.eval_strategy: epoch, but data.validation is 0"),
        ("training: {early_stopping_patience: 1}", "needs validation, but data.validation is 0"),
        ("training: {metric_for_best_model: eval_bleu}", "needs validation, but data.validation is 0"),
    ]:
        with pytest.raises(ConfigError, match=fault):
            loads(text + more, "d.yaml", check_files=False)
    assert loads(text + "training: {eval_strategy: no}", "d.yaml", check_files=False).notes == ()


@pytest.mark.parametrize(
    ("data", "languages", "said"),
    [
        ("train: {en: a, no: b}", ("en", "no"), True),
        ("train: {en: a, fr: b}, source_lang: fr", ("fr", "en"), True),
        ("train: {en: a, fr: b}, target_lang: en", ("fr", "en"), True),
        ("train: {en: a, fr: b}, source_lang: en, target_lang: fr", ("en", "fr"), False),
        ("train: {source: a, target: b}", (None, None), False),
        ("train: a", (None, None), False),
    ],
)
def test_sides_of_a_pair_become_languages(data: str, languages: tuple[str | None, str | None], said: bool) -> None:
    loaded = loads(f"data: {{{data}}}", "d.yaml", check_files=False)
    assert (loaded.config.data.source_lang, loaded.config.data.target_lang) == languages
    assert bool(loaded.notes) == said


def test_sampling_without_do_sample_is_noted() -> None:
    text = "data: {train: a}\ngeneration: {temperature: 0.4, top_p: 0.9"
    assert loads(text + "}", "d.yaml", check_files=False).notes == (
        "generation.temperature, top_p: without effect while do_sample is false",
    )
    assert loads(text + ", do_sample: true}", "d.yaml", check_files=False).notes == ()


def test_data_files_are_checked_without_opening_them(tmp_path: Path) -> None:
    good, empty, pipe, loop = (tmp_path / name for name in ("pairs.json", "empty.json", "pipe", "loop"))
    (tmp_path / "folder").mkdir()
    good.write_text("[]", encoding="utf-8")
    empty.touch()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    cases = [
        (tmp_path / "pair.json", "no such file; did you mean 'pairs.json'?"),
        (tmp_path / "no" / "x.json", "no such file; the folder"),
        (tmp_path / "*.jsonl", "the pattern matches no file"),
        (tmp_path / "folder", "a folder without files of rows"),
        (empty, "an empty file"),
        (pipe, "not a regular file"),
        (loop, "symbolic link"),
        (Path("/dev/zero"), "not a regular file"),
    ]
    listed = ", ".join(f"'{path}'" for path, _ in [(good, ""), *cases])
    with pytest.raises(ConfigError) as caught:
        loads(f"data:\n  train: [{listed}, '', \"\\0\"]", "d.yaml")
    assert len(caught.value.faults) == len(cases) + 2
    by_key = {line.split(": ")[1]: line for line in caught.value.faults}
    for index, (_, text) in enumerate(cases, start=1):
        assert text in by_key[f"data.train.{index}"], by_key
    assert loads(f"data: {{train: '{good}'}}", "d.yaml")
    assert loads(f"data: {{train: '{tmp_path}/pair*.json'}}", "d.yaml")
    with pytest.raises(ConfigError, match=r"empty.json: an empty file"):
        loads(f"data: {{train: '{tmp_path}/*.json'}}", "d.yaml")


def test_one_file_cannot_be_trained_on_and_held_out(tmp_path: Path) -> None:
    file = tmp_path / "pairs.json"
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data.validation: .* is trained on too"):
        loads(f"data: {{train: '{file}', validation: '{tmp_path}/../{tmp_path.name}/pairs.json'}}", "d.yaml")


def test_a_run_folder_outlives_its_data() -> None:
    text = "data: {train: gone.json}"
    with pytest.raises(ConfigError, match="gone.json: no such file"):
        loads(text, "d.yaml")
    assert loads(text, "d.yaml", check_files=False).config.data.train == "gone.json"
