"""What a tokenizer is, as one hash: equal after saving and loading, in any process, and for equal behaviour only."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def tokenizer_hash(tokenizer: Any) -> str:
    """Return the hex sha256 of vocabulary, special tokens, chat template and (Rust) normaliser and post-processor.

    Names of files, padding and truncation state are left out, since they differ between two loads of one tokenizer.
    """
    content = {
        "class": type(tokenizer).__name__,
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "specials": {name: str(value) for name, value in sorted(tokenizer.special_tokens_map.items())},
        "added": [
            (index, str(token), token.special) for index, token in sorted(tokenizer.added_tokens_decoder.items())
        ],
        "chat_template": tokenizer.chat_template,
        "pipeline": _pipeline(tokenizer),
    }
    text = json.dumps(content, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _pipeline(tokenizer: Any) -> Any:
    """Return what cuts the text: the Rust tokenizer's stages, or the hashes of the sentencepiece models."""
    if tokenizer.is_fast:
        stages = json.loads(tokenizer.backend_tokenizer.to_str())
        return {name: stages.get(name) for name in ("normalizer", "pre_tokenizer", "model", "post_processor")}
    files = tokenizer.vocab_files_names.values()
    folder = Path(tokenizer.name_or_path)
    pieces = {name: folder / name for name in files if name.endswith((".spm", ".model"))}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in sorted(pieces.items()) if file.is_file()
    }
