"""The Python surface: the names that ``desktune`` promises, without cost at import."""

import pytest

import desktune


@pytest.mark.parametrize("name", desktune.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(desktune, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        desktune.trian  # noqa: B018
