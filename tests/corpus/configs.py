"""Rules 52 to 64: configs. A fault names file:line, key, cause and what is allowed; other readings are printed."""

from __future__ import annotations

from dataclasses import dataclass

DATA = "data: {train: rows.jsonl}\n"


@dataclass(frozen=True)
class Config:
    """One text of a config (below a line with the data) and what ``desktune check`` answers.

    ``error`` is a part of the first line of a fault; else ``printed`` are parts of what is printed. ``words`` are
    further words of the command line, ``faults`` the number of faults.
    """

    rule: int
    name: str
    text: str | bytes
    error: str = ""
    printed: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    faults: int = 1
    whole: bool = False  # whether the text is the whole file


def t(key: str, value: str) -> str:
    """A config with one key of training."""
    return f"training: {{{key}: {value}}}\n"


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
COUNT = "allowed: a whole number from 1 to 2,147,483,647"
RANGES = {
    "learning_rate": ("0", "-0.0", "-1e-4", "101"),
    "per_device_train_batch_size": ("0", "-1", "4294967296", "1.5"),
    "num_train_epochs": ("0", "-1", "1e9", "-0.0"),
    "max_steps": ("0", "-5", "99999999999"),
    "seed": ("-1", "18446744073709551616"),
    "warmup_ratio": ("-0.1", "1"),
    "weight_decay": ("-1", "11"),
    "eval_steps": ("0",),
    "save_total_limit": ("0",),
}
CASES = [
    Config(52, "exponent", t("learning_rate", "2e-4"), printed=("learning_rate: 2e-4",)),
    Config(52, "exponent_plus", t("learning_rate", "2e+1"), printed=("learning_rate: 20",)),
    Config(52, "exponent_plain", t("num_train_epochs", "1e1"), printed=("num_train_epochs: 10",)),
    Config(53, "norwegian", "data: {train: rows.jsonl, source_lang: no, target_lang: en}\n",
           printed=("source_lang: no",), whole=True),
    Config(53, "yes", t("gradient_checkpointing", "yes"), "found the text 'yes'; allowed: true or false"),
    Config(53, "off", t("load_best_model_at_end", "off"), "found the text 'off'; allowed: true or false"),
    Config(53, "octal", t("max_steps", "010"), "010 starts with 0"),
    Config(53, "underscore", t("max_steps", "1_000"), "write 1000 without quotes or underscores"),
    Config(53, "sexagesimal", t("max_steps", "12:30:45"), "found the text '12:30:45'"),
    Config(53, "date", "output: {name: 2026-01-01}\n", printed=('name: "2026-01-01"',)),
    Config(54, "nan", t("learning_rate", ".nan"), ".nan is not a finite number"),
    Config(54, "inf", t("max_grad_norm", ".inf"), ".inf is not a finite number"),
    Config(54, "overflow", t("learning_rate", "1e999"), "1e999 is not a finite number"),
    Config(54, "json_nan", '{"data": {"train": "rows.jsonl"}, "training": {"seed": NaN}}', "NaN is not a finite number",
           whole=True),
    Config(55, "twice", "training:\n  seed: 1\n  seed: 2\n", "d.yaml:4: training.seed: given twice"),
    Config(55, "section_twice", "training: {seed: 1}\ntraining: {seed: 2}\n", "d.yaml:3: training: given twice"),
    Config(55, "alias_twice", "training: {lr: 1e-3, learning_rate: 1e-3}\n", "keep one"),
    Config(56, "unknown", t("lerning_rate", "1e-4"), "unknown key; did you mean 'learning_rate'?"),
    Config(56, "unknown_section", "trainning: {seed: 1}\n", "unknown key; did you mean 'training'?"),
    Config(56, "wrong_section", "model: {r: 8}\n", "unknown key here; belongs to adapter:"),
    Config(56, "top_level", "batch_size: 8\n", "belongs to training:, as per_device_train_batch_size"),
    Config(56, "nothing_near", "tracking: {zzz: 1}\n", "unknown key; allowed: report_to, project"),
    Config(56, "override", "", "override training.sed=1: training.sed: unknown key; did you mean 'seed'?",
           words=("training.sed=1",)),
    Config(57, "quoted_number", "adapter: {r: '16'}\n", "found the text '16'; allowed: a whole number from 1 to 4,096"),
    Config(57, "quoted_truth", t("gradient_checkpointing", '"true"'), "found the text 'true'; allowed: true or false"),
    Config(57, "truth_as_number", "adapter: {r: true}\n", "found true; allowed: a whole number"),
    Config(57, "number_as_text", "model: {name: 7}\n", 'found 7; allowed: text; write "7" for a text'),
    Config(57, "list_as_text", "model: {name: [a]}\n", "found the list ['a']; allowed: text"),
    Config(57, "section_as_number", "training: 5\n", "training is a section: put keys below it"),
    Config(57, "null", t("seed", "null"), "found null; allowed"),
    Config(57, "float_as_whole", "adapter: {r: 16.0}\n", "write 16"),
    Config(57, "choice", "task: causl\n", "did you mean 'causal'?"),
    *(
        Config(58, f"{key}_{value}", t(key, value), f"training.{key}: found {'' if value != '1e9' else '1000'}")
        for key, values in RANGES.items()
        for value in values
    ),
    Config(58, "rank_zero", "adapter: {r: 0}\n", "found 0; allowed: a whole number from 1 to 4,096"),
    Config(58, "rank_huge", "adapter: {r: 5000}\n", "found 5000; allowed: a whole number from 1 to 4,096"),
    Config(58, "digits", t("seed", "9" * 5_000), "a number of 5,000 digits"),
    Config(59, "steps_and_epochs", "training: {max_steps: 10, num_train_epochs: 3}\n", "keep training.max_steps or"),
    Config(59, "qlora", "model: {quantization: 4bit, device: cpu}\n", "known, but not built yet in this version"),
    Config(59, "warmup_over_steps", "training: {max_steps: 10, warmup_steps: 10}\n", "10 is not under max_steps"),
    Config(59, "late_eval", "training: {max_steps: 10, eval_steps: 50, early_stopping_patience: 2}\n", "nothing stops"),
    Config(59, "both_warmups", "training: {warmup_steps: 5, warmup_ratio: 0.1}\n", "contradicts"),
    Config(59, "tokens_and_rows", "training: {tokens_per_step: 100, batch_size: 8}\n", "contradicts"),
    Config(59, "no_eval", "training: {eval_strategy: no, early_stopping_patience: 3}\n", "needs validation"),
    Config(59, "no_rows_held", "data: {train: rows.jsonl, validation: 0}\ntraining: {early_stopping_patience: 3}\n",
           "needs validation, but data.validation is 0", whole=True),
    Config(59, "not_measured", "task: causal\ntraining: {metric_for_best_model: eval_bleu}\n", "add bleu to"),
    Config(59, "lengths", "generation: {min_new_tokens: 300}\n", "300 is over max_new_tokens, which is 256"),
    Config(59, "nesterov", "training: {optim: sgd, optim_args: {nesterov: true}}\n", "needs a momentum over 0"),
    Config(59, "same_language", "data: {train: {en: rows.jsonl, fr: rows.jsonl}, source_lang: en, target_lang: en}\n",
           "the same as source_lang", whole=True),
    Config(60, "no_modules", "adapter: {target_modules: []}\n", "a list of at least one module name"),
    Config(61, "alias_bomb", BOMB, "over 20,000 values", faults=1),
    Config(61, "too_large", "x: " + "y" * 1_000_001, "a config has at most 1,000,000"),
    Config(61, "python_tag", "output: {name: !!python/object/apply:os.system [ls]}\n", "tags are refused"),
    Config(61, "recursive", "output: {name: &x [*x]}\n", "*x contains itself"),
    Config(61, "merge", "model: &x {name: a}\nadapter:\n  <<: *x\n", "merge keys (<<) are not supported"),
    Config(61, "deep", "model: " + "[" * 50 + "\n", "nested deeper than 20 levels"),
    Config(62, "tab", "training:\n\tseed: 1\n", "d.yaml:3: a tab: indent with spaces"),
    Config(62, "bom", b"\xef\xbb\xbfdata: {train: rows.jsonl}\ntask: causal\n", printed=("task: causal",), whole=True),
    Config(62, "utf16", "data: {train: rows.jsonl}\ntask: causal\n".encode("utf-16"), printed=("task: causal",),
           whole=True),
    Config(62, "crlf", b"data: {train: rows.jsonl}\r\ntask: causal\r\n", printed=("task: causal",), whole=True),
    Config(62, "latin", b"data: {train: rows.jsonl}\n# caf\xe9\n", "d.yaml:2: byte 0xe9 is not UTF-8", whole=True),
    Config(62, "control", "task: \x07\n", "d.yaml:2: a control character (code 7)"),
    Config(62, "unclosed_quote", 'model: {name: "x}\n', "d.yaml:2: a quote that is not closed"),
    Config(62, "unclosed_bracket", "model: {name: x\n", "d.yaml:2: a bracket that is not closed"),
    Config(62, "colon", "task: a: b\n", "d.yaml:2: a second ': ' in this place"),
    Config(62, "two_documents", "task: causal\n---\ntask: causal\n", "a config is one document"),
    Config(62, "list", "- a\n- b\n", "a config is a mapping", whole=True),
    Config(62, "no_data", "task: causal\n", "data.train: missing; name a file of rows", whole=True),
    Config(63, "dollar", "output: {name: null}\nmodel: {name: '${HOME}/x'}\n", printed=("${HOME}/x",)),
    Config(63, "dollar_in_template", "data: {train: rows.jsonl, template: '$HOME {source}'}\n",
           printed=("$HOME {source}",), whole=True),
    Config(64, "override_wins", t("seed", "1"), printed=("seed: 2",), words=("training.seed=2",)),
    Config(64, "gives_way", t("num_train_epochs", "7"), words=("training.max_steps=5",),
           printed=("training.num_train_epochs (d.yaml:2) gives way to override training.max_steps=5",)),
    Config(64, "same_parser", "", "override training.seed=010: training.seed: 010 starts with 0",
           words=("training.seed=010",)),
    Config(64, "several", "modle: {}\ntask: x\ntraining: {seed: -1}\n", "(the first of 3 faults)", faults=3),
    Config(64, "template_brace", "data: {train: rows.jsonl, template: '{source'}\n", "the brace at character 1",
           whole=True),
]  # fmt: skip
