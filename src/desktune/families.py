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
        decoder_start: What the decoder reads before the first label: ``decoder_start_token_id`` of config.json, the
            tokenizer's BOS, or the row's last label (mBART, where it is the target language).
        languages: Where a text's languages are told: nowhere, in both texts (``both``), or the target's at the
            beginning of the source (``source``).
        language_token: How the vocabulary writes a language code; the group is the code.
        source_opening: What the tokenizer takes for a language code at the beginning of any source, known or not.
        scaled_head: The head reads hidden states times d_model^-0.5 (T5 v1.0; ``scale_decoder_outputs`` in its config).
        logits_bias: The head adds ``final_logits_bias``, a buffer and not a weight.
        chat_template: Conversations go through the tokenizer's chat template.
        fp16: Whether half precision gives finite numbers (T5's activations overflow it).
        pad_row_stays_zero: The embedding of the padding token, which starts the decoder, must stay zero
            (CTranslate2 assumes so for Marian).
        device_map: Whether transformers can spread the model over devices.
        tokenizer_files: The original files of the tokenizer, kept beside every saved model.
        export: Formats that hold for the family.
        inferred: Empty for rows of the table; else what was assumed.
    """

    name: str
    encoder_decoder: bool
    task: Task
    attention: tuple[str, ...]
    decoder_start: Literal["config", "bos", "last label"] = "config"
    languages: Literal["none", "both", "source"] = "none"
    language_token: str = ""
    source_opening: str = ""
    scaled_head: bool = False
    logits_bias: bool = False
    chat_template: bool = False
    fp16: bool = True
    pad_row_stays_zero: bool = False
    device_map: bool = True
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
_BYTES_BPE = ("vocab.json", "merges.txt")

_T5 = Family(
    "T5",
    True,
    "seq2seq",
    ("q", "k", "v", "o"),
    languages="source",  # MADLAD-400; other T5 have no such tokens
    language_token=r"<2(\w+)>",
    scaled_head=True,
    fp16=False,
    tokenizer_files=("spiece.model",),
    export=("ctranslate2", "gguf"),
)
_BART = Family(
    "BART",
    True,
    "seq2seq",
    _QKV_OUT,
    logits_bias=True,
    tokenizer_files=_BYTES_BPE,
    export=("ctranslate2",),
)
_MARIAN = replace(
    _BART,
    name="Marian (OPUS-MT)",
    task="translation",
    languages="source",  # models with several targets; others have no such tokens
    language_token=r">>(.+?)<<",
    source_opening=r">>(?=[\s\S]*<<)",
    pad_row_stays_zero=True,
    device_map=False,
    tokenizer_files=("source.spm", "target.spm", "vocab.json"),
)
_M2M100 = Family(
    "M2M100 or NLLB",
    True,
    "translation",
    _QKV_OUT,
    languages="both",
    language_token=r"__(\w+)__|([a-z]{3}_[A-Z][a-z]{3})",
    tokenizer_files=("vocab.json", "sentencepiece.bpe.model"),
    export=("ctranslate2",),
)
_MBART = replace(
    _M2M100,
    name="mBART",
    decoder_start="last label",
    language_token=r"([a-z]{2}_[A-Z]{2})",
    logits_bias=True,
    tokenizer_files=("sentencepiece.bpe.model",),
)
_LLAMA = Family(
    "Llama",
    False,
    "causal",
    _QKVO,
    chat_template=True,
    tokenizer_files=("tokenizer.model",),
    export=("ctranslate2", "gguf"),
)
_QWEN = replace(_LLAMA, name="Qwen", tokenizer_files=_BYTES_BPE)
_GEMMA = replace(_LLAMA, name="Gemma", fp16=False)
_GPT2 = Family(
    "GPT-2",
    False,
    "causal",
    ("c_attn", "c_proj"),
    chat_template=True,
    tokenizer_files=_BYTES_BPE,
    export=("ctranslate2",),
)

FAMILIES: Mapping[str, Family] = {
    "t5": _T5,
    "mt5": replace(_T5, name="mT5", scaled_head=False),
    "umt5": replace(_T5, name="UMT5", scaled_head=False),
    "bart": _BART,
    "pegasus": replace(_BART, name="Pegasus", fp16=False, tokenizer_files=("spiece.model",)),
    "marian": _MARIAN,
    "m2m_100": _M2M100,
    "mbart": _MBART,
    "t5gemma": Family(
        "T5Gemma", True, "seq2seq", _QKVO, decoder_start="bos", fp16=False, tokenizer_files=("tokenizer.model",)
    ),
    "encoder-decoder": Family("EncoderDecoderModel", True, "seq2seq", ("query", "key", "value"), decoder_start="bos"),
    "llama": _LLAMA,
    "mistral": replace(_LLAMA, name="Mistral"),
    "qwen2": replace(_QWEN, name="Qwen2"),
    "qwen3": replace(_QWEN, name="Qwen3"),
    "gemma": _GEMMA,
    "gemma2": replace(_GEMMA, name="Gemma 2"),
    "gemma3_text": replace(_GEMMA, name="Gemma 3"),
    "opt": replace(_GPT2, name="OPT", attention=_QKV_OUT),
    "gpt2": _GPT2,
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
