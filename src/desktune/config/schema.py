"""The one schema of ``desktune.yaml``: every setting with its default, type, bounds, unit and one-line meaning.

Names are those of the ecosystem (transformers, peft) where it has one. ``"auto"`` is resolved by ``plan.py``, never
here: this module knows neither torch nor the model. Frozen: nobody assigns to a config after it was loaded.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from desktune.config.measures import MetricName

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Paths = str | list[str] | dict[str, str]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, numbers are finite, nothing is coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(Section):
    """Which model, and in what precision on which device."""

    name: str = Field(
        default="starter:t5",
        min_length=1,
        description="hub id, folder, or starter:t5 | starter:marian-en-fr | starter:marian-fr-en | starter:llama",
    )
    revision: str | None = Field(default=None, description="branch, tag or commit of a hub model")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="precision of the forward pass; auto: bfloat16 on CUDA that has it, else float32"
    )
    device: Literal["auto", "cpu", "mps", "cuda"] = Field(default="auto", description="auto: cuda, then mps, then cpu")
    device_map: str | None = Field(
        default=None,
        pattern=r"^(auto|balanced|balanced_low_0|sequential|cpu|mps|cuda(:\d+)?)$",
        description="how transformers spreads one model over devices: auto, balanced, balanced_low_0, sequential, "
        "cpu, mps or cuda:1 (needs accelerate); ignored with several processes, and for Marian",
    )
    quantization: Literal["none"] = Field(
        default="none", description="precision of the frozen base weights; 8bit and 4bit are not built yet"
    )
    trust_remote_code: bool = Field(
        default=False,
        description="whether the Python files that come with the model are run, with all your rights; said every time",
    )
    attn_implementation: Literal["auto", "eager", "sdpa"] = Field(
        default="auto", description="attention kernel; auto: what transformers picks"
    )


class DataSection(Section):
    """Which rows, what they become, and which of them are held out."""

    train: Paths | None = Field(
        default=None,
        description="file, pattern (rows/*.jsonl), folder, list of these, data set of the Hub (user/name:split), or a "
        "line-parallel pair {en: train.en, fr: train.fr}",
    )
    validation: Share | Annotated[int, Field(ge=0)] | Paths = Field(
        default=0.1, description="share, number of rows, or file(s); 0: none"
    )
    test: Paths | None = Field(default=None, description="file(s) that evaluate --split test uses")
    format: Literal["auto", "pairs", "translation", "messages", "text", "alpaca", "sharegpt", "prompt-completion"] = (
        Field(default="auto", description="what a row is; auto: by its fields, said aloud")
    )
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="ours: theirs ({source: input}); source, target, text, messages, source_lang, target_lang or id",
    )
    template: str = Field(
        default="{source}",
        description="what the model reads; {field} is any text field of the row; conversations take the chat template",
    )
    train_on: Literal["assistant", "last"] | list[Literal["system", "user", "assistant", "tool", "last"]] = Field(
        default="assistant",
        description="turns of a conversation that are trained: every answer of the assistant, the last one, or a list "
        "of roles; a turn's own weight (0 or 1) goes before",
    )
    source_lang: str | None = Field(
        default=None, description="language code of the source; rows that say another one are left out and counted"
    )
    target_lang: str | None = Field(default=None, description="language code of the target")
    both_directions: bool = Field(
        default=False,
        description="rows from target_lang into source_lang are trained too; each row says its own source_lang",
    )
    max_source_length: Count = Field(default=512, description="tokens, EOS included (seq2seq, translation)")
    max_target_length: Count = Field(default=512, description="tokens, EOS included (seq2seq, translation)")
    max_length: Count = Field(default=1024, description="tokens of prompt and completion together (causal)")
    overlong: Literal["drop", "truncate", "error"] = Field(
        default="drop", description="rows over a length limit: dropped and counted, cut, or an error"
    )
    max_rejected: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.01, description="share of unreadable rows over which loading stops"
    )
    encoding: str = Field(default="utf-8", description="encoding of text files; a byte order mark is recognised")
    cleaning: dict[str, Any] = Field(
        default_factory=dict,
        description="how rows of train are mended and dropped: {preset: none, light or strict, filters: {name: limit}}",
    )


class AdapterSection(Section):
    """What is trained: a low-rank adapter, or all weights."""

    type: Literal["lora", "dora", "rslora", "none"] = Field(default="lora", description="none: all weights")
    r: Annotated[int, Field(ge=1, le=4096)] = Field(default=16, description="rank")
    lora_alpha: Annotated[float, Field(gt=0)] = Field(
        default=32, description="scale; the update is multiplied by lora_alpha / r (rslora: / sqrt(r))"
    )
    lora_dropout: Share = Field(default=0.05, description="dropout on the adapter's input")
    target_modules: Literal["all-linear", "attention"] | list[str] = Field(
        default="all-linear", description="all-linear, attention, or a list of module names"
    )
    new_tokens: list[str] = Field(
        default_factory=list,
        description="words added to the vocabulary as tokens of their own; with an adapter only their rows are trained",
    )


class TrainingSection(Section):
    """The loop: how long, how fast, how often it evaluates and saves."""

    num_train_epochs: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=3, description="passes over the data; not together with max_steps"
    )
    max_steps: Count | None = Field(default=None, description="optimizer steps, instead of epochs")
    per_device_train_batch_size: Count = Field(
        default=8, description="rows; a step is this x gradient_accumulation_steps x processes"
    )
    gradient_accumulation_steps: Count = Field(default=1, description="multiplies the rows of a step")
    tokens_per_step: Count | None = Field(
        default=None, description="trained and source tokens per step, instead of rows"
    )
    tokens_per_batch: Literal["auto"] | Count = Field(
        default="auto", description="padded tokens of one micro-batch: memory and speed only, never what is optimised"
    )
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Field(default=2e-4, description="peak")
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = Field(
        default="cosine", description="after warm-up: to 0 in a line, in a half cosine, or not at all"
    )
    warmup_ratio: Share = Field(
        default=0.03, description="share of the steps in which the rate rises from 0; not together with warmup_steps"
    )
    warmup_steps: Annotated[int, Field(ge=0)] | None = Field(default=None, description="steps, instead of the ratio")
    weight_decay: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.01, description="decoupled; not on biases and norms"
    )
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="gradients are scaled down to this norm; 0: never"
    )
    optim: Literal["adamw", "adafactor", "sgd"] = Field(default="adamw", description="optimizer")
    optim_args: dict[str, Any] = Field(
        default_factory=dict,
        description="further arguments of the optimizer, e.g. {betas: [0.9, 0.98]} or {momentum: 0.9}",
    )
    loss: Literal["cross_entropy"] = Field(
        default="cross_entropy", description="summed over trained tokens, divided once by their number"
    )
    label_smoothing_factor: Share = Field(
        default=0.0, description="share of the probability that is spread over the vocabulary (training only)"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory, about a third more time")
    eval_strategy: Literal["steps", "epoch", "no"] = Field(default="steps", description="when validation runs")
    eval_steps: Count = Field(default=50, description="steps between validations (eval_strategy: steps)")
    per_device_eval_batch_size: Count = Field(default=8, description="rows")
    max_eval_samples: Count | None = Field(default=None, description="first n validation rows only")
    eval_accumulation_steps: Count | None = Field(
        default=None, description="accepted for compatibility; our evaluation keeps sums, not logits"
    )
    save_strategy: Literal["steps", "epoch", "no"] = Field(
        default="steps", description="when a checkpoint is written; one is always written at the end"
    )
    save_steps: Count = Field(default=50, description="steps between checkpoints (save_strategy: steps)")
    save_total_limit: Count = Field(default=3, description="checkpoints kept; the best one is kept besides")
    logging_steps: Count = Field(default=10, description="steps between lines of the log")
    early_stopping_patience: Count | None = Field(
        default=None, description="validations without improvement after which training stops"
    )
    metric_for_best_model: str = Field(
        default="eval_loss",
        description="eval_loss, eval_perplexity, eval_bits_per_byte, or eval_ and a metric of evaluation",
    )
    load_best_model_at_end: bool = Field(
        default=True, description="model/ holds the best validated weights, else the last ones"
    )
    loss_watchdog: Literal["off", "warn", "stop"] = Field(
        default="warn",
        description="a step's loss far over the median of the last 50 steps is said (warn), and after 5 such steps "
        "in a row training stops with exit code 3 (stop)",
    )
    distributed: Literal["auto", "ddp", "fsdp"] = Field(
        default="auto",
        description="how the processes that torchrun starts share a model: ddp (auto) holds all of it in each, fsdp a "
        "share",
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = Field(
        default=42, description="of order, split, adapter and dropout"
    )
    engine: Literal["desktune", "hf"] = Field(
        default="desktune",
        description="our loop; hf: transformers.Seq2SeqTrainer or trl.SFTTrainer, a reference without resume",
    )


class EvaluationSection(Section):
    """How a model is judged."""

    metrics: Literal["auto"] | list[MetricName] = Field(
        default="auto",
        description="auto: bleu, chrf and exact_match for translation, chrf, rougeL and exact_match otherwise",
    )
    predict_with_generate: bool = Field(
        default=True, description="also generate for validation rows, not only measure the loss (desktune evaluate)"
    )
    max_new_tokens: Count = Field(default=256, description="tokens per answer")
    bootstrap_samples: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=1000, description="resamples behind the intervals and p-values of base against tuned; 0: none"
    )
    guard_samples: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=16,
        description="validation rows that are answered and watched (wrong language, copies, loops) where validation "
        "measures the loss alone; 0: none",
    )
    smoke_test: bool = Field(
        default=True, description="try the untouched base on a few validation rows before training"
    )


class GenerationSection(Section):
    """How answers are decoded; names are those of transformers' GenerationConfig."""

    max_new_tokens: Count = Field(default=256, description="tokens per answer")
    min_new_tokens: Annotated[int, Field(ge=0)] | None = Field(default=None, description="tokens before EOS is allowed")
    num_beams: Annotated[int, Field(ge=1, le=256)] = Field(default=4, description="1: greedy")
    do_sample: bool = Field(default=False, description="draw tokens instead of taking the likeliest")
    temperature: Annotated[float, Field(gt=0)] | None = Field(default=None, description="with do_sample")
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="with do_sample")
    top_k: Annotated[int, Field(ge=0)] | None = Field(default=None, description="with do_sample")
    length_penalty: float | None = Field(default=None, description="over 1 favours long answers (beams)")
    early_stopping: bool | Literal["never"] | None = Field(
        default=None, description="true: stop when num_beams answers are whole; never: until no better one is possible"
    )
    repetition_penalty: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="over 1 avoids words that were said"
    )
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="no n tokens twice in a row of this length"
    )
    use_cache: bool = Field(default=True, description="keep keys and values: faster, and more memory")
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="name: {settings over the ones above}"
    )


class TrackingSection(Section):
    """Where figures go besides metrics.jsonl."""

    report_to: list[Literal["tensorboard", "wandb"]] = Field(
        default_factory=list, description="tensorboard and wandb (offline unless WANDB_MODE says otherwise)"
    )
    project: str = Field(default="desktune", description="project name at the tracker")


class OutputSection(Section):
    """Where a run lies."""

    dir: str | None = Field(default=None, description="the run folder; null: runs/<name>-<timestamp>")
    name: str | None = Field(default=None, description="name of the run; null: from the model")
    push_to_hub: Literal[False] = Field(default=False, description="not built yet")
    hub_model_id: str | None = Field(default=None, description="user/name")
    hub_private: bool = Field(default=True, description="visibility of an uploaded model")


class Config(Section):
    """A whole ``desktune.yaml``."""

    task: Literal["auto", "seq2seq", "translation", "causal"] = Field(
        default="auto", description="auto: by the model's family"
    )
    model: ModelSection = Field(default_factory=ModelSection)
    data: DataSection = Field(default_factory=DataSection)
    adapter: AdapterSection = Field(default_factory=AdapterSection)
    training: TrainingSection = Field(default_factory=TrainingSection)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    generation: GenerationSection = Field(default_factory=GenerationSection)
    tracking: TrackingSection = Field(default_factory=TrackingSection)
    output: OutputSection = Field(default_factory=OutputSection)
