"""BART, Pegasus, T5Gemma and two BERTs put together."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartTokenizer,
    BertConfig,
    BertTokenizer,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PegasusTokenizer,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
)

from tests.zoo.causal import gemma_tokenizer
from tests.zoo.common import DECODER, EN, ENCODER_DECODER, FR, lines, save, seeded, train_bytes, train_spm


def build_bart(folder: Path) -> Path:
    """BART: byte-level BPE, ``<s>`` forced as the first token, ``</s>`` starts the decoder."""
    folder.mkdir(parents=True)
    train_bytes(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer = BartTokenizer.from_pretrained(folder)
    seeded()
    config = BartConfig(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        **ENCODER_DECODER,
    )
    model = BartForConditionalGeneration(config)
    model.generation_config.update(
        forced_bos_token_id=0, forced_eos_token_id=2, decoder_start_token_id=2, eos_token_id=2, pad_token_id=1
    )
    return save(model, tokenizer, folder)


def build_pegasus(folder: Path) -> Path:
    """Pegasus: sentencepiece with 103 reserved tokens, padding starts the decoder, sinusoidal positions."""
    folder.mkdir(parents=True)
    train_spm(lines(EN + FR), folder / "spiece", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer = PegasusTokenizer.from_pretrained(folder)
    seeded()
    config = PegasusConfig(
        vocab_size=len(tokenizer),
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        scale_embedding=True,
        **ENCODER_DECODER,
    )
    return save(PegasusForConditionalGeneration(config), tokenizer, folder)


def build_t5gemma(folder: Path) -> Path:
    """T5Gemma: Gemma's blocks as encoder and decoder; ``<bos>`` starts the decoder."""
    tokenizer = gemma_tokenizer(folder)
    seeded()
    part = {
        **DECODER,
        "vocab_size": len(tokenizer),
        "intermediate_size": 64,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "sliding_window": 64,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    config = T5GemmaConfig(encoder=part, decoder=part, vocab_size=len(tokenizer))
    return save(T5GemmaForConditionalGeneration(config), tokenizer, folder)


def build_bert2bert(folder: Path) -> Path:
    """EncoderDecoderModel of two BERTs: no BOS and EOS of the tokenizer's own, but ``[CLS]`` and ``[SEP]``."""
    folder.mkdir(parents=True)
    words = sorted({word for line in EN + FR for word in line.split()})
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer.from_pretrained(folder, do_lower_case=False, strip_accents=False)
    seeded()
    part = BertConfig(vocab_size=len(tokenizer), intermediate_size=64, **DECODER)
    config = EncoderDecoderConfig.from_encoder_decoder_configs(part, part)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    return save(EncoderDecoderModel(config), tokenizer, folder)


BUILDERS = {
    "bart": build_bart,
    "pegasus": build_pegasus,
    "t5gemma": build_t5gemma,
    "bert2bert": build_bert2bert,
}
