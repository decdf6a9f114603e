"""Bad configs, one fault each: (number of the rule, name, text, part of the first line that has to come out).

Numbers are those of ``rules.py``. ``rows.jsonl`` lies beside every config.
"""

from __future__ import annotations

from dataclasses import dataclass

GOOD = "model: {name: 'starter:t5'}\ndata: {train: rows.jsonl}\n"


@dataclass(frozen=True)
class BadConfig:
    """``text`` is written after ``GOOD`` where ``added``; ``said`` is a part of the first line of the error."""

    rule: int
    name: str
    text: str | bytes
    said: str
    added: bool = True

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        text = self.text if isinstance(self.text, bytes) else self.text.encode()
        return GOOD.encode() + text if self.added else text


CONFIGS = [
    BadConfig(52, "number-as-text", "training: {learning_rate: '2e-4'}", "training.learning_rate"),
    BadConfig(52, "number-with-comma", "training: {learning_rate: 2,5}", "training"),
    BadConfig(53, "no-language-code-as-bool", "training: {gradient_checkpointing: no}", "found the text 'no'"),
    BadConfig(53, "grouped-steps", "training: {max_steps: 1_000}", "training.max_steps"),
    BadConfig(53, "sexagesimal-steps", "training: {max_steps: 12:30:45}", "training.max_steps"),
    BadConfig(53, "date-as-number", "training: {max_steps: 2026-01-02}", "found the text '2026-01-02'"),
    BadConfig(53, "bool-as-number", "training: {max_steps: yes}", "training.max_steps"),
    BadConfig(54, "infinite-rate", "training: {learning_rate: .inf}", "training.learning_rate"),
    BadConfig(54, "nan-decay", "training: {weight_decay: .nan}", "training.weight_decay"),
    BadConfig(54, "minus-infinite-clip", "training: {max_grad_norm: -.inf}", "training.max_grad_norm"),
    BadConfig(55, "key-twice", "training:\n  seed: 1\n  seed: 2", "seed"),
    BadConfig(55, "section-twice", "data: {train: rows.jsonl}", "data"),
    BadConfig(55, "key-twice-in-json", b'{"data": {"train": "rows.jsonl", "train": "b"}}', "train", added=False),
    BadConfig(56, "misspelt-key", "training: {learning_rat: 1e-4}", "did you mean 'learning_rate'"),
    BadConfig(56, "misspelt-section", "trainig: {seed: 1}", "training"),
    BadConfig(56, "key-in-the-wrong-section", "data2: {seed: 1}", "data2"),
    BadConfig(57, "text-for-a-number", "training: {max_steps: '16'}", "training.max_steps"),
    BadConfig(57, "text-for-a-bool", "training: {gradient_checkpointing: 'true'}", "gradient_checkpointing"),
    BadConfig(57, "number-for-a-bool", "evaluation: {smoke_test: 1}", "evaluation.smoke_test"),
    BadConfig(57, "list-for-a-text", "output: {name: [a]}", "output.name"),
    BadConfig(57, "mapping-for-a-number", "training: {seed: {a: 1}}", "training.seed"),
    BadConfig(57, "null-for-a-number", "training: {per_device_train_batch_size: null}", "per_device_train_batch_size"),
    BadConfig(57, "text-for-a-section", "training: fast", "training"),
    BadConfig(57, "list-for-a-section", "training: [a, b]", "training"),
    BadConfig(57, "number-for-a-template", "generation: {variants: {a: 3}}", "generation.variants"),
    BadConfig(58, "rate-zero", "training: {learning_rate: 0}", "training.learning_rate"),
    BadConfig(58, "rate-negative", "training: {learning_rate: -1e-4}", "training.learning_rate"),
    BadConfig(58, "rate-minus-zero", "training: {learning_rate: -0.0}", "training.learning_rate"),
    BadConfig(58, "rate-huge", "training: {learning_rate: 1e9}", "training.learning_rate"),
    BadConfig(58, "batch-zero", "training: {per_device_train_batch_size: 0}", "per_device_train_batch_size"),
    BadConfig(58, "batch-negative", "training: {per_device_train_batch_size: -8}", "per_device_train_batch_size"),
    BadConfig(58, "epochs-zero", "training: {num_train_epochs: 0}", "training.num_train_epochs"),
    BadConfig(58, "steps-zero", "training: {max_steps: 0}", "training.max_steps"),
    BadConfig(58, "rank-zero", "adapter: {r: 0}", "adapter.r"),
    BadConfig(58, "rank-negative", "adapter: {r: -4}", "adapter.r"),
    BadConfig(58, "seed-too-large", "training: {seed: 18446744073709551616}", "training.seed"),
    BadConfig(58, "seed-negative", "training: {seed: -1}", "training.seed"),
    BadConfig(58, "dropout-over-one", "adapter: {lora_dropout: 1.5}", "adapter.lora_dropout"),
    BadConfig(58, "warmup-over-one", "training: {warmup_ratio: 3}", "training.warmup_ratio"),
    BadConfig(58, "share-over-one", "data: {validation: 1.5, train: rows.jsonl}", "data.validation", added=False),
    BadConfig(
        58, "length-zero", "data: {max_source_length: 0, train: rows.jsonl}", "data.max_source_length", added=False
    ),
    BadConfig(58, "beams-zero", "generation: {num_beams: 0}", "generation.num_beams"),
    BadConfig(58, "temperature-zero", "generation: {temperature: 0, do_sample: true}", "generation.temperature"),
    BadConfig(58, "top-p-over-one", "generation: {top_p: 2, do_sample: true}", "generation.top_p"),
    BadConfig(59, "steps-and-epochs", "training: {max_steps: 5, num_train_epochs: 2}", "contradicts"),
    BadConfig(59, "rows-and-tokens", "training: {tokens_per_step: 9, per_device_train_batch_size: 2}", "contradicts"),
    BadConfig(59, "two-warmups", "training: {warmup_steps: 5, warmup_ratio: 0.1}", "contradicts"),
    BadConfig(
        59, "stopping-without-validation", "training: {eval_strategy: no, early_stopping_patience: 2}", "validation"
    ),
    BadConfig(59, "metric-that-is-not-measured", "training: {metric_for_best_model: eval_blue}", "'eval_blue'"),
    BadConfig(
        59, "quantised", "model: {name: a, quantization: 4bit}\ndata: {train: rows.jsonl}", "quantization", added=False
    ),
    BadConfig(59, "sampling-without-sampling", "generation: {variants: {a: {tempature: 1}}}", "generation.variants"),
    BadConfig(
        59,
        "same-languages",
        "data: {train: {en: rows.jsonl, fr: rows.jsonl}, source_lang: en, target_lang: en}",
        "target_lang",
        added=False,
    ),
    BadConfig(
        59, "both-directions-of-nothing", "data: {train: rows.jsonl, both_directions: true}", "data.", added=False
    ),
    BadConfig(60, "no-target-modules", "adapter: {target_modules: []}", "adapter.target_modules"),
    BadConfig(60, "empty-target-module", "adapter: {target_modules: ['']}", "adapter.target_modules"),
    BadConfig(
        61,
        "alias-bomb",
        "".join(
            ["a: &a [x,x,x,x,x,x,x,x,x]\n"]
            + [
                f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
                for a, b in zip("abcdefgh", "bcdefghi", strict=True)
            ]
        ),
        "a",
    ),
    BadConfig(61, "over-a-megabyte", "#" + "x" * 1_100_000, "1"),
    BadConfig(61, "python-tag", "training: !!python/object/apply:os.system [echo]", "training"),
    BadConfig(61, "python-tuple", "training: {optim_args: !!python/tuple [1]}", "python/tuple"),
    BadConfig(61, "own-tag", "training: {seed: !roll 6}", "!roll"),
    BadConfig(61, "recursive-anchor", "generation: &a {variants: *a}", "a"),
    BadConfig(61, "merge-key", "x: &x {seed: 1}\ntraining: {<<: *x}", "x"),
    BadConfig(62, "tab", "training:\n\tseed: 1", "tab"),
    BadConfig(62, "cut", "training: {seed: 1", "d.yaml"),
    BadConfig(62, "two-documents", "---\nmodel: {name: a}\n", "document"),
    BadConfig(62, "bytes-that-are-no-utf8", b"output: {name: caf\xe9}", "0xe9 is not UTF-8"),
    BadConfig(62, "nul", b"output: {name: a\0b}", "d.yaml"),
    BadConfig(62, "empty", "", "data.train", added=False),
    BadConfig(62, "only-a-comment", "# nothing\n", "data.train", added=False),
    BadConfig(62, "a-list", "- a\n- b\n", "mapping", added=False),
    BadConfig(62, "a-text", "just words", "mapping", added=False),
    BadConfig(63, "environment-stays-literal", "data: {train: $HOME/rows.jsonl}", "$HOME", added=False),
    BadConfig(63, "braces-stay-literal", "data: {train: '${HOME}/rows.jsonl'}", "${HOME}", added=False),
    BadConfig(
        24, "template-of-nothing", "data: {train: rows.jsonl, template: 'no field'}", "data.template", added=False
    ),
    BadConfig(
        24, "template-unclosed", "data: {train: rows.jsonl, template: 'x {source'}", "data.template", added=False
    ),
    BadConfig(
        24,
        "fields-turned-round",
        "data: {train: rows.jsonl, fields: {input: source}}",
        "data.fields.input",
        added=False,
    ),
    BadConfig(4, "unknown-encoding", "data: {train: rows.jsonl, encoding: utf-9}", "data.encoding", added=False),
    BadConfig(37, "turns-without-answers", "data: {train: rows.jsonl, train_on: [user]}", "data.train_on", added=False),
    BadConfig(
        29,
        "filter-misspelt",
        "data: {train: rows.jsonl, cleaning: {filters: {copyed: 1}}}",
        "data.cleaning.filters.copyed",
        added=False,
    ),
    BadConfig(
        29,
        "preset-misspelt",
        "data: {train: rows.jsonl, cleaning: {preset: harsh}}",
        "data.cleaning.preset",
        added=False,
    ),
    BadConfig(46, "missing-file", "data: {train: nowhere.jsonl}", "nowhere.jsonl", added=False),
    BadConfig(46, "pattern-of-nothing", "data: {train: 'rows/*.jsonl'}", "rows/*.jsonl", added=False),
    BadConfig(46, "empty-folder", "data: {train: void}", "void", added=False),
    BadConfig(46, "fifo", "data: {train: fifo}", "fifo", added=False),
    BadConfig(46, "socket", "data: {train: socket}", "socket", added=False),
    BadConfig(46, "device", "data: {train: /dev/zero}", "/dev/zero", added=False),
    BadConfig(46, "symlink-loop", "data: {train: loop}", "loop", added=False),
    BadConfig(46, "broken-symlink", "data: {train: gone}", "a link to nothing.jsonl, which is not there", added=False),
    BadConfig(46, "case-only", "data: {train: ROWS.jsonl}", "did you mean 'rows.jsonl'", added=False),
    BadConfig(
        46, "missing-validation", "data: {train: rows.jsonl, validation: nowhere.jsonl}", "nowhere.jsonl", added=False
    ),
    BadConfig(46, "missing-side", "data: {train: {en: rows.jsonl, fr: nowhere.fr}}", "nowhere.fr", added=False),
    BadConfig(
        46, "three-sides", "data: {train: {en: rows.jsonl, fr: rows.jsonl, de: rows.jsonl}}", "data.train", added=False
    ),
    BadConfig(46, "empty-list", "data: {train: []}", "data.train", added=False),
]
