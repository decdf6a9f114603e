"""A model's name → its folder, its facts, its tokenizer, its weights on a device.

Everything is loaded from a local folder: a starter, the user's folder, or a snapshot of a hub repository. No pickle is
opened, no code that comes with a model is run unless ``model.trust_remote_code`` says so, and the precision is always
passed (transformers would otherwise take that of the checkpoint and train OPT in pure fp16).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from desktune import durable, runs, starters
from desktune.config.schema import ModelSection
from desktune.errors import MissingExtra, ModelNotFound, nearest
from desktune.families import FAMILIES, Family, lookup
from desktune.languages import Languages
from desktune.models.convert import converted
from desktune.models.untrusted import check_code, check_model, check_revision, read_json, sanitised
from desktune.models.vocabulary import fit_vocabulary
from desktune.rows import Task

_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.jinja"]
_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError, ArithmeticError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip
_PICKLES = ["pytorch_model*.bin"]  # asked for only where there are no safetensors


@dataclass(frozen=True)
class Located:
    """A model that was found: ``name`` as the config says it, ``folder`` where its files lie."""

    name: str
    folder: Path
    family: Family
    config: Mapping[str, Any]  # its config.json, without what leads to code
    weights_hash: str  # sha256 over its weight files
    dropped: tuple[str, ...] = ()  # keys of config.json that lead to code
    code: tuple[str, ...] = ()  # its own Python files, where the person trusts them
    pickled: Path | None = None  # the folder whose *.bin weights were converted


@dataclass(frozen=True)
class Placement:
    """Where and in what precision a model runs."""

    device: torch.device
    dtype: torch.dtype
    attn_implementation: str = "auto"
    device_map: str | None = None  # how transformers spreads it; ``device`` is then where its inputs go


@dataclass(frozen=True)
class Bundle:
    """A model with what belongs to it. ``model`` is a base, a base with adapter (peft), or a tuned full model."""

    model: Any  # PreTrainedModel or peft.PeftModel
    tokenizer: PreTrainedTokenizerBase
    located: Located
    task: Task
    placement: Placement
    languages: Languages | None = None  # of a model that is told languages
    tokenizer_hash: str = ""  # as the run knows it

    @property
    def family(self) -> Family:
        """The family's row."""
        return self.located.family

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.placement.device


def locate(section: ModelSection) -> Located:
    """Find a model: starter, folder or hub id.

    Raises:
        ModelNotFound: nothing is there, or the folder lacks config.json or safetensors weights.
    """
    folder = _folder_of(section)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ModelNotFound(
            f"model.name: {section.name}: {folder} has no config.json; name a folder that a model was saved to"
        )
    code = _code_of(folder) if section.trust_remote_code else ()
    if code:
        check_code(folder)
    config, dropped = sanitised(read_json(config_file), trusted=bool(code))
    check_model(folder, config)
    pickled = None
    if not list(folder.glob("*.safetensors")) and list(folder.glob("pytorch_model*.bin")):
        folder, pickled = converted(folder, code), folder
    digest = weights_hash(folder, code)
    return Located(section.name, folder, lookup(config), config, digest, tuple(dropped), code, pickled)


def weights_hash(folder: Path, code: Iterable[str] = ()) -> str:
    """Return the sha256 over names and contents of a folder's weight files, and of code that is run.

    Raises:
        ModelNotFound: there are no safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelNotFound(f"{folder}: no *.safetensors weights; name a folder that a model was saved to")
    digest = hashlib.sha256()
    for file in (*files, *(folder / name for name in code)):
        digest.update(f"{file.name}:{durable.sha256(file)}\n".encode())
    return digest.hexdigest()


def load_tokenizer(located: Located) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer and give it a padding token that is not its EOS, where it has none.

    The padding token is an existing token (unknown, else EOS): no embedding is added, and since the loss never counts
    padding the model does not learn to pad.
    """
    options = {} if not (located.folder / "tokenizer.model").is_file() else _llama_options(located.folder)
    with _loading(located, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            located.folder, config=_model_config(located), trust_remote_code=bool(located.code), **options
        )
    if not located.code:
        tokenizer.init_kwargs.pop("auto_map", None)  # a saved copy would name the code again
    _know_languages(tokenizer)
    if tokenizer.eos_token is None and tokenizer.sep_token is not None:  # BERT ends a text with [SEP]
        tokenizer.eos_token, tokenizer.bos_token = tokenizer.sep_token, tokenizer.cls_token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = (
            tokenizer.unk_token if tokenizer.unk_token not in (None, tokenizer.eos_token) else tokenizer.eos_token
        )
    return tokenizer


def load_base(located: Located, tokenizer: PreTrainedTokenizerBase, task: Task, placement: Placement) -> Bundle:
    """Load a model's own weights.

    Raises:
        ModelNotFound: weights are missing or of other shapes than its config says.
        MissingExtra: a device map is wanted, which needs accelerate.
    """
    auto_class = getattr(transformers, located.family.auto_class)
    attention = (
        {} if placement.attn_implementation == "auto" else {"attn_implementation": placement.attn_implementation}
    )
    spread = _device_map(placement)
    with _loading(located, "model"):
        model, info = auto_class.from_pretrained(
            located.folder,
            config=_model_config(located),
            dtype=placement.dtype,
            trust_remote_code=bool(located.code),
            use_safetensors=True,
            output_loading_info=True,
            **attention,
            **spread,
        )
    broken = sorted({*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])})
    if broken:
        raise ModelNotFound(
            f"{located.name}: {len(broken)} weights are missing or of another shape: {', '.join(broken[:5])}"
        )
    fit_vocabulary(model, tokenizer)
    _know_tokens(model, tokenizer, located.family)
    languages = Languages.of(tokenizer, located.family)
    if placement.device_map is None:
        model.to(placement.device)
    else:
        placement = replace(placement, device=model.device)
    return Bundle(model.eval(), tokenizer, located, task, placement, languages)


def write_language(model: Any, languages: Languages | None, target: str | None) -> None:
    """Put a target language into a model's generation config, where plain transformers finds it too."""
    if languages is not None and target is not None:
        model.generation_config.update(**languages.settings(target))


@contextlib.contextmanager
def _loading(located: Located, what: str) -> Iterator[None]:
    """Turn what transformers says of files that it cannot read into ModelNotFound; it has no class for that."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, ImportError):
        raise
    except _UNREADABLE as error:
        if "out of memory" in str(error):
            raise
        raise _cannot_be_loaded(located, what, error) from error
    except BaseException as error:
        if type(error) is Exception:  # tokenizers raises it bare
            raise _cannot_be_loaded(located, what, error) from error
        raise


def _cannot_be_loaded(located: Located, what: str, error: BaseException) -> ModelNotFound:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelNotFound(
        f"{located.name}: its {what} cannot be loaded from {located.folder}: {first[:300]}; "
        "take a model that transformers knows, with whole files: code that came with it is run by "
        "model.trust_remote_code alone"
    )


def _model_config(located: Located) -> Any:
    """Return the config that transformers takes, built from what is left of the folder's own config.json."""
    settings = sanitised(read_json(located.folder / "config.json"), trusted=bool(located.code))[0]
    kind = str(settings.get("model_type"))
    own = settings.get("auto_map", {}).get("AutoConfig")
    if own is None and kind not in transformers.CONFIG_MAPPING:
        raise ModelNotFound(
            f"{located.name}: transformers {transformers.__version__} knows no model type {kind[:60]!r}"
            f"{nearest(kind, list(FAMILIES))}; take one of its own types, or, where you trust the Python files that "
            "came with the model, model.trust_remote_code: true"
        )
    with _loading(located, "config"):
        made = transformers.CONFIG_MAPPING[kind] if own is None else _own_class(located, own)
        config = made.from_dict(settings)
        config.name_or_path = str(located.folder)
        return config


def _code_of(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")))


def _own_class(located: Located, reference: str) -> Any:
    """Return the class of configs that comes with a model whose code is trusted; saved copies bring it along."""
    found = get_class_from_dynamic_module(reference, str(located.folder))
    found.register_for_auto_class()
    return found


def _folder_of(section: ModelSection) -> Path:
    name = section.name
    if name.startswith("starter:"):
        return starters.folder(name)
    try:
        folder = Path(name).expanduser()
    except RuntimeError as error:  # ~ of a user that is none, or of one without a home
        raise ModelNotFound(f"model.name: {name}: {str(error).lower()}; write the whole path") from error
    if runs.is_folder(folder):
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        neighbours = [path.name for path in folder.parent.iterdir()] if runs.is_folder(folder.parent) else []
        raise ModelNotFound(f"model.name: {name}: no such folder{nearest(folder.name, neighbours)}")
    return _snapshot(section)


def _snapshot(section: ModelSection) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    check_revision(section.revision)
    code = ["*.py"] if section.trust_remote_code else []

    def fetch(patterns: list[str]) -> Path:
        return Path(huggingface_hub.snapshot_download(section.name, revision=section.revision, allow_patterns=patterns))

    try:
        folder = fetch([*_PATTERNS, *code])
        return folder if list(folder.glob("*.safetensors")) else fetch([*_PATTERNS, *code, *_PICKLES])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        known = list(starters.STARTERS)
        raise ModelNotFound(
            f"model.name: {section.name}: no such folder, and the hub did not give it ({type(error).__name__})"
            f"{nearest(section.name, known)}; check the name and the network, or take one of {', '.join(known)}"
        ) from error


def _device_map(placement: Placement) -> dict[str, Any]:
    if placement.device_map is None:
        return {}
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtra("accelerate", "hf", "model.device_map")
    return {"device_map": placement.device_map}


def _llama_options(folder: Path) -> dict[str, Any]:
    """LlamaTokenizer from a bare tokenizer.model adds no BOS although its documentation says so."""
    return {} if (folder / "tokenizer.json").is_file() else {"add_bos_token": True}


def _know_languages(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make M2M100's language tokens special: built from its bare files they are plain text, cut into letters."""
    if isinstance(tokenizer, transformers.M2M100Tokenizer):
        known, extra = set(tokenizer.all_special_tokens), cast("list[str]", tokenizer.extra_special_tokens)
        missing = [token for token in tokenizer.lang_token_to_id if token not in known]
        if missing:
            tokenizer.add_special_tokens({"extra_special_tokens": [*extra, *missing]})
        if tokenizer.tgt_lang is None:  # text_target would fail on it; NLLB's and mBART's fall back by themselves
            tokenizer.tgt_lang = tokenizer.src_lang


def _know_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, family: Family) -> None:
    """Tell generation what pads, ends and starts, where the checkpoint does not; its config stays as it was saved."""
    config = model.generation_config
    if config is None:
        return
    known: dict[str, Any] = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if family.decoder_start == "bos":
        known["decoder_start_token_id"] = tokenizer.bos_token_id
    present = config.to_dict()
    config.update(**{name: value for name, value in known.items() if present.get(name) is None})
