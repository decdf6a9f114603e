"""The paired bootstrap against sacrebleu's own, and on figures whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from desktune.evaluate.bootstrap import paired
from desktune.evaluate.metrics import Statistics, statistics

REFERENCES = [f"le chien numéro {number} court dans la rue près du port" for number in range(30)]
BASE = [text.replace("court", "dort") if place % 3 else "rien du tout" for place, text in enumerate(REFERENCES)]
TUNED = [text if place % 2 else text.replace("près du port", "loin") for place, text in enumerate(REFERENCES)]


@pytest.mark.parametrize(("name", "metric"), [("bleu", BLEU()), ("chrf", CHRF(word_order=2))])
def test_says_what_sacrebleu_says(name: str, metric: BLEU | CHRF) -> None:
    test = PairedTest([("base", BASE), ("tuned", TUNED)], {name: metric}, [REFERENCES], test_type="bs", n_samples=200)
    _, said = test()
    base, tuned = next(results for system, results in said.items() if system != "System")
    found = paired(statistics(name, BASE, REFERENCES), statistics(name, TUNED, REFERENCES), 200)
    assert found is not None
    assert found.p_value == pytest.approx(tuned.p_value)
    assert (found.base.half, found.tuned.half) == pytest.approx((base.ci, tuned.ci), abs=1e-4)


def test_a_clear_difference_is_sure_and_none_is_not() -> None:
    base, tuned = (statistics("chrf", texts, REFERENCES) for texts in (BASE, TUNED))
    found, same = paired(base, tuned, 300), paired(base, base, 300)
    assert found is not None
    assert found.p_value < 0.01
    assert 0 < found.difference.low < tuned.score().value - base.score().value < found.difference.high
    assert same is not None
    assert same.p_value == pytest.approx(1 / 301)  # sacrebleu's formula: no sample is further apart than nothing
    assert (same.difference.low, same.difference.high) == (0, 0)


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    hits = np.array([[1.0, 1.0]] * 60 + [[0.0, 1.0]] * 40)
    half = Statistics(hits, lambda sum_K: 100 * sum_K[0] / sum_K[1], "share")
    found = paired(half, half, 2000)
    assert found is not None
    assert found.base.half == pytest.approx(100 * 1.96 * (0.6 * 0.4 / 100) ** 0.5, rel=0.1)


def test_one_row_or_no_samples_say_nothing() -> None:
    one = statistics("bleu", BASE[:1], REFERENCES[:1])
    many = statistics("bleu", BASE, REFERENCES)
    assert paired(one, one, 1000) is None
    assert paired(many, many, 0) is None
