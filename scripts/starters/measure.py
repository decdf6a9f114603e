"""What a starter can do: greedy answers, exact match, BLEU and chrF++."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

_BATCH_ROWS = 64


def load(folder: Path, causal: bool) -> tuple[Any, Any]:
    """Load a saved starter as anybody would, in float32 (the stored weights are rounded to bfloat16)."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    loader = AutoModelForCausalLM if causal else AutoModelForSeq2SeqLM
    return loader.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def answers(model: Any, tokenizer: Any, questions: Sequence[str], causal: bool) -> list[str]:
    """Return greedy answers in the order of the questions."""
    model.eval()
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    found = [""] * len(questions)
    for start in range(0, len(order), _BATCH_ROWS):
        group = order[start : start + _BATCH_ROWS]
        texts = [questions[index] for index in group]
        if causal:
            talks = [[{"role": "user", "content": text}] for text in texts]
            texts = [tokenizer.apply_chat_template(t, tokenize=False, add_generation_prompt=True) for t in talks]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=not causal)
        made = model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], num_beams=1, do_sample=False
        )
        made = made[:, batch["input_ids"].shape[1] :] if causal else made
        for index, text in zip(group, tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
            found[index] = text.strip()
    return found


def scores(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Return exact match (%), BLEU and chrF++."""
    import sacrebleu

    same = sum(one == other for one, other in zip(hypotheses, references, strict=True))
    return {
        "exact": round(100 * same / len(references), 1),
        "bleu": round(sacrebleu.corpus_bleu(list(hypotheses), [list(references)]).score, 1),
        "chrf": round(sacrebleu.corpus_chrf(list(hypotheses), [list(references)], word_order=2).score, 1),
    }
