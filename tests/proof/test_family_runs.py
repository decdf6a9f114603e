"""Every family through the whole way on 200 rows; one of them in the quick suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.proof.family_run import CODES, family_run
from tests.zoo import BUILDERS

QUICK = ["mbart50"]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow) for one in BUILDERS]
)
def test_whole_way(name: str, zoo: Callable[[str], Path], tmp_path: Path) -> None:
    """Loss falls, the merged folder answers as base and adapter, and plain transformers in the right language."""
    steps = {"max_steps": 120} if name in QUICK else {}
    found = family_run(name, zoo(name), tmp_path / "way", **steps)
    assert found.loss[1] < 0.75 * found.loss[0]
    assert found.equal_texts == found.proof_rows
    assert found.plain_equal == 1.0
    assert len(found.right_language) == (2 if name in CODES else 1)
    assert min(found.right_language.values()) >= 0.8
