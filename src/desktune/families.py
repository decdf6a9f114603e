"""One row per model family: everything that differs between T5, Marian, Llama ... is a column here, not an ``if``.

``lookup`` finds the row by ``model_type`` of the model's config.json. A model outside the table works through its
AutoModel class, with what was inferred said aloud (``Family.inferred``). Facts were read from the model classes of
transformers 5.23 and from running them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from desktune.rows import Task


@dataclass(frozen=True, slots=True)
class Family:
    """What desktune has to know of a family.

    Attributes:
        name: For people.
        encoder_decoder: Whether ``labels`` are a sequence of their own (then the decoder reads them shifted).
        task: What ``task: auto`` becomes.
        attention: Names of the linear layers of attention, for ``target_modules: attention``.
        fp16: Whether half precision gives finite numbers (T5's activations overflow it).
        pad_row_stays_zero: The embedding of the padding token, which starts the decoder, must stay zero
            (CTranslate2 assumes so for Marian).
        tokenizer_files: The original files of the tokenizer, kept beside every saved model.
        export: Formats that hold for the family.
        inferred: Empty for rows of the table; else what was assumed.
    """

    name: str
    encoder_decoder: bool
    task: Task
    attention: tuple[str, ...]
    fp16: bool = True
    pad_row_stays_zero: bool = False
    tokenizer_files: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    inferred: str = ""

    @property
    def auto_class(self) -> Literal["AutoModelForSeq2SeqLM", "AutoModelForCausalLM"]:
        """The class of transformers that loads the family."""
        return "AutoModelForSeq2SeqLM" if self.encoder_decoder else "AutoModelForCausalLM"

    @property
    def peft_task_type(self) -> Literal["SEQ_2_SEQ_LM", "CAUSAL_LM"]:
        """The task type that peft writes into the adapter's config."""
        return "SEQ_2_SEQ_LM" if self.encoder_decoder else "CAUSAL_LM"


_QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")
_QKV_OUT = ("q_proj", "k_proj", "v_proj", "out_proj")
_SPM_LLAMA = ("tokenizer.model",)

_T5 = Family(
    "T5",
    True,
    "seq2seq",
    ("q", "k", "v", "o"),
    fp16=False,
    tokenizer_files=("spiece.model",),
    export=("ctranslate2", "gguf"),
)
_MARIAN = Family(
    "Marian (OPUS-MT)",
    True,
    "translation",
    _QKV_OUT,
    pad_row_stays_zero=True,
    tokenizer_files=("source.spm", "target.spm", "vocab.json"),
    export=("ctranslate2",),
)
_LLAMA = Family("Llama", False, "causal", _QKVO, tokenizer_files=_SPM_LLAMA, export=("ctranslate2", "gguf"))

FAMILIES: Mapping[str, Family] = {
    "t5": _T5,
    "mt5": replace(_T5, name="mT5"),
    "marian": _MARIAN,
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, name="Mistral"),
    "qwen2": replace(_LLAMA, name="Qwen2", tokenizer_files=("vocab.json", "merges.txt")),
    "qwen3": replace(_LLAMA, name="Qwen3", tokenizer_files=("vocab.json", "merges.txt")),
    "opt": Family(
        "OPT", False, "causal", _QKV_OUT, tokenizer_files=("vocab.json", "merges.txt"), export=("ctranslate2",)
    ),
    "gpt2": Family(
        "GPT-2",
        False,
        "causal",
        ("c_attn", "c_proj"),
        tokenizer_files=("vocab.json", "merges.txt"),
        export=("ctranslate2",),
    ),
}


def lookup(model_config: Mapping[str, Any]) -> Family:
    """Return the family of a model's ``config.json``.

    A type outside the table gets a row that is inferred from ``is_encoder_decoder``; its ``inferred`` says what.
    """
    model_type = str(model_config.get("model_type", ""))
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    encoder_decoder = bool(model_config.get("is_encoder_decoder", False))
    kind = "an encoder-decoder" if encoder_decoder else "a causal model"
    return Family(
        name=model_type or "unknown",
        encoder_decoder=encoder_decoder,
        task="seq2seq" if encoder_decoder else "causal",
        attention=(*_QKVO, "out_proj"),
        inferred=f"model type {model_type!r} is not in desktune's table: treated as {kind} by its config.json; "
        "adapter targets by the usual names",
    )
