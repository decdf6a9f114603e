"""Base + adapter → one plain model folder, proved to answer like the two together before it gets its name.

The merged folder is loaded again from disk by plain transformers, in float32, and compared on held-out rows: logits of
the references (teacher forcing) and greedy texts. Only then is it renamed to its final place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers

from desktune import durable
from desktune.batches.collate import collate, shape_of
from desktune.config.schema import GenerationSection
from desktune.errors import MergeMismatch, RunError
from desktune.evaluate.heldout import evaluating
from desktune.events import Emit, Note, Saved
from desktune.generate.decode import decode, decoding
from desktune.languages import Languages
from desktune.models.adapters import attach, is_adapter
from desktune.models.load import Bundle, load_base, weights_hash
from desktune.models.save import DESCRIPTION, check_partner, save_tokenizer
from desktune.rows import Encoded

TOLERANCE = 1e-4  # of the largest logit, float32; merging adds r products per weight in another order
PROOF_TOKENS = 48
"""Tokens of each greedy text that is compared."""
PROOF_LOGITS = 2**26
"""Logits that are kept for comparison (256 MiB): with a vocabulary of 150,000 and 64 rows, 6 places of each row."""


@dataclass(frozen=True)
class MergeReport:
    """What the proof found."""

    folder: Path
    rows: int
    largest_difference: float  # of any logit
    largest_logit: float
    equal_texts: int

    def sentence(self) -> str:
        """Return the figures in words."""
        return (
            f"the largest difference of a logit is {self.largest_difference:.2e} "
            f"(the largest logit {self.largest_logit:.1f}), "
            f"{self.equal_texts} of {self.rows} greedy texts are equal"
        )


@dataclass(frozen=True)
class _Answers:
    logits: list[torch.Tensor]  # one [tokens, vocabulary] per row
    texts: list[str]


def merge(
    base: Bundle, tuned: Path, final: Path, rows: Sequence[Encoded], emit: Emit, *, replace: bool = False
) -> MergeReport:
    """Merge, prove and name a model folder.

    Args:
        base: The base in float32 on the CPU.
        tuned: The run's ``model/``: an adapter, or all weights.
        final: ``<name>_merged``.
        rows: Held-out rows for the proof.
        emit: Progress.
        replace: Whether an existing ``final`` gives way.

    Raises:
        ModelMismatch: the adapter belongs to another base.
        MergeMismatch: the tuned model gives no numbers, or the merged folder answers differently; nothing stands under
            the final name.
        RunError: ``final`` exists, or there are no rows.
    """
    if final.exists() and not replace:
        raise RunError(f"{final}: exists already; merge again with --replace, or remove it")
    if not rows:
        raise RunError(f"{final}: no rows to prove the merged model with; give data.validation some")
    check_partner(tuned, base.located, base.tokenizer_hash)
    together = attach(base, tuned) if is_adapter(tuned) else _own(base, tuned)
    wanted = _answers(together, rows)
    if any(bool(torch.isnan(one).any()) for one in wanted.logits):
        raise MergeMismatch(
            f"{tuned}: the tuned model's logits on held-out rows are not numbers (NaN); nothing was written; "
            "train again with a lower training.learning_rate or with model.dtype=float32"
        )
    with durable.staging(final, replace=replace) as staged:
        _write(together, tuned, staged)
        report = _prove(base, staged, final, rows, wanted)
        durable.write_text(staged / "README.md", _card(base, tuned, report))
        durable.write_json(staged / DESCRIPTION, _description(base, tuned, report))
    emit(Note(f"proof on {report.rows} held-out rows: {report.sentence()}"))
    emit(Saved("merged model", str(final)))
    return report


def _own(base: Bundle, tuned: Path) -> Bundle:
    """Load a run's full model in the precision of the base."""
    located = dataclasses.replace(base.located, folder=tuned, weights_hash=weights_hash(tuned))
    return load_base(located, base.tokenizer, base.task, base.placement)


def _answers(bundle: Bundle, rows: Sequence[Encoded]) -> _Answers:
    """Return logits at places spread over the rows' references, row by row (no padding), and the greedy texts."""
    shape = shape_of(bundle.family, bundle.tokenizer, bundle.located.config)
    logits = []
    with evaluating(bundle.model):
        for row in rows:
            batch = collate([row], shape, bundle.device)
            batch.pop("labels")
            logits_TV = bundle.model(**batch, use_cache=False).logits[0]
            places = min(len(logits_TV), max(1, PROOF_LOGITS // (len(rows) * logits_TV.shape[1])))
            logits.append(logits_TV[torch.linspace(0, len(logits_TV) - 1, places).round().long()])
    how = decoding(GenerationSection(num_beams=1, max_new_tokens=PROOF_TOKENS))
    prompts, targets = [row.input_ids[: row.prompt_length] for row in rows], [row.target_lang for row in rows]
    return _Answers(logits, decode(bundle, prompts, how, targets=targets))


def _write(together: Bundle, tuned: Path, staged: Path) -> None:
    """Write the merged weights and all that belongs to them."""
    tied = together.model.config.to_dict().get("tie_word_embeddings")  # composite configs have none
    with warnings.catch_warnings():  # T5 v1.1: its head was apart from the beginning
        warnings.filterwarnings("ignore", message="Input and output embeddings are no longer tied")
        model = together.model.merge_and_unload(safe_merge=True) if is_adapter(tuned) else together.model
    model.config.dtype = "float32"
    if tied and _shares_head(model):
        model.config.tie_word_embeddings = True  # peft 0.21 writes False for T5Gemma, and the head is lost on loading
    model.save_pretrained(staged)
    save_tokenizer(together.tokenizer, together.located, staged)


def _shares_head(model: transformers.PreTrainedModel) -> bool:
    """Whether the head is one weight with an embedding, and so has no place of its own in the file."""
    layer = model.get_output_embeddings()
    head = layer.weight if layer is not None else None
    return head is not None and sum(weight is head for _, weight in model.named_parameters(remove_duplicate=False)) > 1


def _prove(base: Bundle, staged: Path, final: Path, rows: Sequence[Encoded], wanted: _Answers) -> MergeReport:
    """Load the folder again by plain transformers and compare."""
    auto_class = {
        "AutoModelForSeq2SeqLM": transformers.AutoModelForSeq2SeqLM,
        "AutoModelForCausalLM": transformers.AutoModelForCausalLM,
    }
    trusted = bool(base.located.code)  # what the person trusts was saved with it
    plain = auto_class[base.family.auto_class]
    model = plain.from_pretrained(staged, dtype=torch.float32, trust_remote_code=trusted).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(staged, trust_remote_code=trusted)
    languages = None if _says_language(base, rows) else base.languages
    again = Bundle(model, tokenizer, base.located, base.task, base.placement, languages)
    found = _answers(again, rows)
    difference = _largest(  # equal infinities (masked tokens) do not differ; NaN stays NaN, and is not within limits
        [(one - other).masked_fill(one == other, 0.0) for one, other in zip(found.logits, wanted.logits, strict=True)]
    )
    largest = _largest([one[torch.isfinite(one)] for one in wanted.logits])
    equal = sum(one == other for one, other in zip(found.texts, wanted.texts, strict=True))
    report = MergeReport(final, len(rows), difference, largest, equal)
    words = sum(_ids(tokenizer, row, base.languages) != _ids(base.tokenizer, row, base.languages) for row in rows)
    if not difference <= TOLERANCE * max(1.0, largest) or equal != len(rows) or words:
        raise MergeMismatch(
            f"{final}: the merged model does not answer like base and adapter: {report.sentence()}, "
            f"{words} texts are tokenized otherwise; nothing was written"
        )
    return report


def _largest(values: Sequence[torch.Tensor]) -> float:
    return float(torch.cat([one.flatten() for one in values]).abs().max())


def _says_language(base: Bundle, rows: Sequence[Encoded]) -> bool:
    """Whether all rows have one target language and the folder itself must answer in it, told nothing."""
    targets = {row.target_lang for row in rows}
    if base.languages is None or len(targets) != 1:
        return False
    known = base.model.generation_config.to_dict()
    return all(known.get(name) == value for name, value in base.languages.settings(str(targets.pop())).items())


def _ids(
    tokenizer: transformers.PreTrainedTokenizerBase, row: Encoded, languages: Languages | None
) -> tuple[object, object]:
    """Return a row's texts as ids, each on its own side (Marian has two vocabularies)."""
    direction = (row.source_lang, row.target_lang)
    with contextlib.nullcontext() if languages is None else languages.spoken(tokenizer, direction):
        source = tokenizer(row.prompt, verbose=False)["input_ids"]
        return source, tokenizer(text_target=row.completion, verbose=False)["input_ids"]


def _description(base: Bundle, tuned: Path, report: MergeReport) -> dict[str, object]:
    known = json.loads((tuned / DESCRIPTION).read_text(encoding="utf-8"))
    proof = {name: value for name, value in asdict(report).items() if name != "folder"}
    return {**known, "merged_from": tuned.parent.name, "proof": proof}


def _card(base: Bundle, tuned: Path, report: MergeReport) -> str:
    return (
        f"# {report.folder.name}\n\n"
        f"{base.family.name} model, merged by desktune from {base.located.name} and {tuned.parent.name}. "
        f"Float32 safetensors; load it with `{base.family.auto_class}.from_pretrained`.\n\n"
        f"{_languages_text(base)}"
        f"Proof on {report.rows} held-out rows, loaded again by plain transformers: {report.sentence()}.\n"
    )


def _languages_text(base: Bundle) -> str:
    """Say what a user of plain transformers has to do for the right language, or nothing."""
    if base.languages is None:
        return ""
    code, token = next(iter(base.languages.tokens.items()))
    if base.languages.in_source:
        return f"Every source starts with its target language, as in `{token}` for {code}.\n\n"
    name = next(iter(base.languages.settings(code)))
    said = base.model.generation_config.to_dict().get(name)
    known = next((one for one, index in base.languages.ids.items() if index == said), None)
    if known is not None:
        return f"It answers in {known}: `{name}` of its generation config says so, and its tokenizer is set.\n\n"
    return f"Languages: `tokenizer.src_lang`, and `{name}` of `generate`, the id of the target's token.\n\n"
