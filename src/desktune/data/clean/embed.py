"""Likeness of meaning by sentence embeddings (LaBSE and its like; Feng et al. 2022). The model is a folder."""

from __future__ import annotations

from desktune.data.clean.texts import Scorer, Texts


def embedding(folder: str) -> Scorer:
    """Return the cosine of both sides' embeddings; sentence-transformers must be there."""
    from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]

    model = SentenceTransformer(folder)

    def score(row: Texts) -> float:
        source, target = model.encode(list(row.sides), normalize_embeddings=True, show_progress_bar=False)
        return float(source @ target)

    return score
