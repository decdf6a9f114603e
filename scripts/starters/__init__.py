"""The parts of ``build_starters.py``: grammars, tokenizers, pretraining, sample data, cards."""
