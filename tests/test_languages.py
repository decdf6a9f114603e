"""Language codes: which a tokenizer has, what a config may say, and where they stand in the ids."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from desktune.config.schema import DataSection, ModelSection
from desktune.data.encode import Kit, encode
from desktune.data.prepare import prepare
from desktune.errors import ConfigError, DataError, ModelMismatch, UserError
from desktune.events import Decision, Event
from desktune.families import FAMILIES
from desktune.languages import Languages, matches, primary
from desktune.models.load import load_tokenizer, locate
from desktune.rows import Encoded, Origin, Reject, Rendered
from tests.bundles import DIRECTIONS, open_tiny, text_rows

Zoo = Callable[[str], Path]
TOLD = ["m2m100", "nllb", "mbart", "mbart50", "marian-multi", "madlad"]
COUNTS = {"m2m100": 100, "nllb": 202, "mbart": 25, "mbart50": 52, "marian-multi": 4, "madlad": 4}


def kit_of(folder: Path) -> Kit:
    located = locate(ModelSection(name=str(folder)))
    return Kit.of(load_tokenizer(located), located.family, located.family.task)


def codes_of(folder: Path) -> Languages:
    languages = kit_of(folder).languages
    assert languages is not None
    return languages


def mutated(codes: list[str], count: int) -> list[str]:
    """Codes with one sign changed, added, removed or swapped, that are none themselves."""
    rng, found = random.Random(5), set()
    signs = string.ascii_letters + "_-"
    while len(found) < count:
        code = rng.choice(codes)
        place = rng.randrange(len(code))
        made = rng.choice(
            (
                code[:place] + rng.choice(signs) + code[place + 1 :],
                code[:place] + rng.choice(signs) + code[place:],
                code[:place] + code[place + 1 :],
                code[:place] + code[place : place + 2][::-1] + code[place + 2 :],
                code.swapcase(),
                code + rng.choice(("_XX", "_Latn", " ", "\n", "1")),
            )
        )
        if made not in codes:
            found.add(made)
    return sorted(found)


@pytest.mark.parametrize("name", TOLD)
def test_codes_are_the_tokenizers_own(name: str, zoo: Zoo) -> None:
    languages = codes_of(zoo(name))
    tokenizer = AutoTokenizer.from_pretrained(zoo(name))
    assert len(languages.ids) == COUNTS[name]
    assert all(
        tokenizer.convert_tokens_to_ids(languages.tokens[code]) == index for code, index in languages.ids.items()
    )


@pytest.mark.parametrize("name", ["t5", "marian", "bart", "llama"])
def test_models_without_languages_are_told_none(name: str, zoo: Zoo) -> None:
    assert kit_of(zoo(name)).languages is None


@pytest.mark.parametrize("name", TOLD)
def test_mutated_codes_are_refused(name: str, zoo: Zoo) -> None:
    """500 each; a plain two-letter code of exactly one language is the one thing that is read as another code."""
    languages = codes_of(zoo(name))
    wrong = mutated(list(languages.ids), 500)
    read = {code: languages.find(code) for code in wrong}
    accepted = {code: found for code, found in read.items() if found is not None}
    assert all(len(code) == 2 and primary(code) == primary(found) for code, found in accepted.items())
    assert len(accepted) <= 5
    for code in wrong:
        if code not in accepted:
            with pytest.raises(ConfigError, match=r"data\.target_lang: .* is not a language of this tokenizer"):
                languages.resolve(code, "data.target_lang")


@pytest.mark.parametrize(
    ("name", "wrong", "hint"),
    [("mbart50", "fr_X", "'fr_XX'"), ("nllb", "fra_Lat", "'fra_Latn'"), ("nllb", "zh", "zho_Hans, zho_Hant"),
     ("m2m100", "fq", "'fr'"), ("marian-multi", "frz", "'fra'"), ("nllb", "frr", "'fra_Latn'"),
     ("madlad", "fx", "'fr'")],
)  # fmt: skip
def test_a_wrong_code_is_answered_with_the_nearest(name: str, wrong: str, hint: str, zoo: Zoo) -> None:
    assert hint in codes_of(zoo(name)).fault(wrong)


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [("mbart50", "fr", "fr_XX"), ("nllb", "en", "eng_Latn"), ("marian-multi", "fr", "fra"), ("mbart", "zh", "zh_CN"),
     ("m2m100", "zh", "zh"), ("nllb", "zh", None), ("m2m100", "fra", None)],
)  # fmt: skip
def test_a_plain_code_is_read_where_it_is_clear(name: str, said: str, code: str | None, zoo: Zoo) -> None:
    assert codes_of(zoo(name)).find(said) == code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("en", "en_XX", True), ("eng_Latn", "en", True), ("en", "eng", True), ("fr_CA", "fr_XX", False),
     ("en", "fr", False), ("xx", "xx", True), ("", "en", False), ("eng", "eng_Latn", False), ("__", "en", False)],
)  # fmt: skip
def test_two_codes_match(one: str, other: str, same: bool) -> None:
    assert matches(one, other) is same


EXPECTED = {  # source, labels and what the decoder reads, as the model cards write them
    "m2m100": ("__en__ S </s>", "__fr__ T </s>", "</s> __fr__ T"),
    "nllb": ("eng_Latn S </s>", "fra_Latn T </s>", "</s> fra_Latn T"),
    "mbart": ("S </s> en_XX", "T </s> fr_XX", "fr_XX T </s>"),
    "mbart50": ("en_XX S </s>", "fr_XX T </s>", "</s> fr_XX T"),
    "marian-multi": (">>fra<< S </s>", "T </s>", "<pad> T"),
    "madlad": ("<2fr> S </s>", "T </s>", "<pad> T"),
    "bart": ("<s> S </s>", "<s> T </s>", "</s> <s> T"),
    "pegasus": ("S </s>", "T </s>", "<pad> T"),
    "t5gemma": ("<bos> S", "T <eos>", "<bos> T"),
    "bert2bert": ("[CLS] S [SEP]", "T [SEP]", "[CLS] T"),
    "byt5": ("S </s>", "T </s>", "<pad> T"),
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_tokens_stand_where_the_family_wants_them(name: str, zoo: Zoo) -> None:
    from desktune.batches.collate import collate, shape_of

    bundle = open_tiny(zoo(name))
    row, tokenizer = text_rows(bundle)[0], bundle.tokenizer
    batch = collate([row], shape_of(bundle.family, tokenizer, bundle.located.config))
    for ids, text, words in (
        (row.input_ids, row.prompt, EXPECTED[name][0]),
        (row.labels, row.completion, EXPECTED[name][1]),
        (batch["decoder_input_ids"][0].tolist(), row.completion, EXPECTED[name][2]),
    ):
        parts = words.split()
        place = next(index for index, word in enumerate(parts) if word in "ST")
        before, after = parts[:place], parts[place + 1 :]
        assert tokenizer.convert_ids_to_tokens(list(ids[: len(before)])) == before
        assert tokenizer.convert_ids_to_tokens(list(ids[len(ids) - len(after) :])) == after
        inner = list(ids[len(before) : len(ids) - len(after)])
        assert tokenizer.decode(inner, skip_special_tokens=False).strip() == text


@pytest.mark.parametrize("name", ["m2m100", "nllb", "mbart", "mbart50"])
def test_ids_are_those_of_plain_transformers(name: str, zoo: Zoo) -> None:
    """Both directions mixed in one batch, against a tokenizer that was told one direction."""
    kit = kit_of(zoo(name))
    english, french = DIRECTIONS[type(kit.tokenizer).__name__]
    rows = [pair("the dog", "le chien", english, french), pair("le chien", "the dog", french, english)] * 2
    found = list(encode(rows, kit, DataSection()))
    for row, encoded in zip(rows, found, strict=True):
        plain = AutoTokenizer.from_pretrained(zoo(name), src_lang=row.source_lang, tgt_lang=row.target_lang)
        wanted = plain(row.prompt, text_target=row.completion)
        assert isinstance(encoded, Encoded)
        assert (list(encoded.input_ids), list(encoded.labels)) == (wanted["input_ids"], wanted["labels"])


def pair(source: str, target: str, source_lang: str | None = None, target_lang: str | None = None) -> Rendered:
    return Rendered(Origin("rows", 1), "pair", source, target, source_lang=source_lang, target_lang=target_lang)


def test_the_tokenizer_is_put_back(zoo: Zoo) -> None:
    kit = kit_of(zoo("mbart50"))
    before = kit.tokenizer("the dog")["input_ids"]
    list(encode([pair("le chien", "the dog", "fr_XX", "en_XX")], kit, DataSection()))
    assert kit.tokenizer("the dog")["input_ids"] == before


def test_a_row_without_or_with_a_wrong_code_is_left_out(zoo: Zoo) -> None:
    kit = kit_of(zoo("m2m100"))
    rows = [
        pair("the dog", "le chien"),
        pair("the dog", "le chien", "en", "frr"),
        pair("the dog", "le chien", "en", "fr"),
    ]
    found = list(encode(rows, kit, DataSection()))
    assert [one.reason if isinstance(one, Reject) else "kept" for one in found] == ["unknown-language"] * 2 + ["kept"]
    assert "set data.target_lang" in found[0].detail  # type: ignore[union-attr]
    assert "did you mean 'fr'" in found[1].detail  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["mbart", "m2m100"])
def test_cut_rows_keep_eos_and_language(name: str, zoo: Zoo) -> None:
    kit = kit_of(zoo(name))
    code = DIRECTIONS[type(kit.tokenizer).__name__]
    row = pair("the dog sees a cat near the river", "le chien voit un chat près de la rivière", *code)
    limits = DataSection(max_source_length=5, max_target_length=5, overlong="truncate")
    (whole,), (cut,) = encode([row], kit, DataSection()), encode([row], kit, limits)
    assert isinstance(whole, Encoded)
    assert isinstance(cut, Encoded)
    after = 2 if name == "mbart" else 1
    for full, short in ((whole.input_ids, cut.input_ids), (whole.labels, cut.labels)):
        assert len(short) == 5
        assert short[-after:] == full[-after:]
        assert short[:-after] == full[: 5 - after]


def test_text_that_spells_a_language_token_is_plain_text(zoo: Zoo) -> None:
    """``>>fra<<`` in the data would choose the language; at the beginning of a source any ``>>x<<`` is cut out."""
    for name in ("marian-multi", "marian", "madlad", "m2m100", "nllb"):
        kit = kit_of(zoo(name))
        tokens = kit.languages.tokens.values() if kit.languages else ()
        for text in (*list(tokens)[:2], *((">>dog<< sees", ">>fra<<") if "marian" in name else ())):
            cleaned = kit.specials.clean(text + " the dog")
            ids = kit.tokenizer(cleaned, add_special_tokens=False)["input_ids"]
            assert not set(ids) & set(kit.languages.ids.values() if kit.languages else ()), (name, text)
            assert text not in cleaned
    assert kit_of(zoo("marian")).specials.clean("a >> b << c") == "a >> b << c"


def test_tokenizers_without_their_language_tokens(zoo: Zoo, tmp_path: Path) -> None:
    """M2M100 from its bare files cuts ``__fr__`` into letters until they are made special."""
    from transformers import M2M100Tokenizer

    bare = M2M100Tokenizer(str(zoo("m2m100") / "vocab.json"), str(zoo("m2m100") / "sentencepiece.bpe.model"))
    assert "__fr__" not in bare.all_special_tokens
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_bytes((zoo("m2m100") / file).read_bytes())
    bare.save_pretrained(tmp_path)
    mended = load_tokenizer(locate(ModelSection(name=str(tmp_path))))
    assert mended.decode(mended("__fr__ the dog")["input_ids"], skip_special_tokens=True) == "the dog"
    plain = AutoTokenizer.from_pretrained(zoo("bart"))
    with pytest.raises(ModelMismatch, match="no language tokens"):
        Languages.of(plain, FAMILIES["m2m_100"])


def rows_file(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_both_directions_of_one_file(zoo: Zoo, tmp_path: Path) -> None:
    """Rows say ``en`` or ``fr``; the tokenizer's codes, the directions and the way back are found."""
    rows = [{"source": f"the dog {i}", "target": f"le chien {i}", "source_lang": "en"} for i in range(6)]
    rows += [{"source": f"le chat {i}", "target": f"the cat {i}", "source_lang": "fr"} for i in range(4)]
    rows += [{"source": "der Hund", "target": "the dog", "source_lang": "de"}]
    path = rows_file(tmp_path, rows)
    languages = {"source_lang": "en_XX", "target_lang": "fr_XX"}
    kit = kit_of(zoo("mbart50"))
    one = prepare(DataSection(train=str(path), validation=0, **languages), kit, 1, None, lambda event: None)
    assert len(one.train) == 6
    assert one.train.directions == (("en_XX", "fr_XX"),)
    section = DataSection(train=str(path), validation=0, both_directions=True, **languages)
    both = prepare(section, kit, 1, None, lambda event: None)
    assert len(both.train) == 10
    assert both.train.directions == (("en_XX", "fr_XX"), ("fr_XX", "en_XX"))


def test_config_codes_are_checked_before_rows_are_read(zoo: Zoo, tmp_path: Path) -> None:
    path = rows_file(tmp_path, [{"source": "the dog", "target": "le chien"}] * 3)
    kit, events = kit_of(zoo("nllb")), []

    def prepared(**languages: str) -> None:
        prepare(DataSection(train=str(path), validation=0, **languages), kit, 1, None, events.append)

    with pytest.raises(ConfigError, match="data.target_lang: 'fra_Lat' is not.*did you mean 'fra_Latn'"):
        prepared(source_lang="eng_Latn", target_lang="fra_Lat")
    with pytest.raises(DataError, match="unknown-language: no target language; set data.target_lang"):
        prepared(source_lang="eng_Latn")
    events.clear()
    prepared(source_lang="en", target_lang="fr")
    said: list[Event] = [event for event in events if isinstance(event, Decision) and "lang" in event.key]
    assert [(event.key, event.value) for event in said if isinstance(event, Decision)] == [
        ("data.source_lang", "eng_Latn"),
        ("data.target_lang", "fra_Latn"),
    ]


def test_a_direction_is_asked_for_where_there_are_several(zoo: Zoo) -> None:
    from desktune.session import Session

    kit = kit_of(zoo("m2m100"))
    several = Session(None, kit, None, (("en", "fr"), ("fr", "en")))  # type: ignore[arg-type]
    assert several.direction(source="fr") == ("fr", "en")
    assert several.direction(target="fr") == ("en", "fr")
    assert several.direction("en", "de") == ("en", "de")
    with pytest.raises(UserError, match="en → fr, fr → en; name them"):
        several.direction()
    with pytest.raises(ConfigError, match="--target-lang: 'frr'"):
        several.direction(target="frr")
    assert Session(None, kit, None, (("en", "fr"),)).direction() == ("en", "fr")  # type: ignore[arg-type]
