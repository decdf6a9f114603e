"""The embedded default: it is there, it is small, it loads, it answers, and it is made again from the same seed."""

import itertools
import json
import random
import sys
from pathlib import Path

import pytest

from desktune import starters
from desktune.errors import ModelNotFound

SCRIPTS = Path(__file__).parents[2] / "scripts"
NAMES = list(starters.STARTERS)
# what each kind of tokenizer's original file is called; llama.cpp and CTranslate2 read these
ORIGINALS = {
    "starter:t5": ["spiece.model"],
    "starter:marian-en-fr": ["source.spm", "target.spm", "vocab.json"],
    "starter:marian-fr-en": ["source.spm", "target.spm", "vocab.json"],
    "starter:llama": ["tokenizer.model", "tokenizer.json", "chat_template.jinja"],
}
ROWS_ASKED = 24


@pytest.fixture(scope="module")
def build():
    """Return the script's module."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import build_starters

        yield build_starters
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(params=NAMES)
def folder(request) -> Path:
    return starters.folder(request.param)


def short(folder: Path) -> str:
    return folder.name


def test_unknown_names_say_what_there_is():
    with pytest.raises(ModelNotFound, match="starter:marian-en-fr"):
        starters.folder("starter:mariane")
    with pytest.raises(ModelNotFound, match="dreams"):
        starters.sample("dream")


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_whole_and_at_most_5_mb(name):
    folder = starters.folder(name)
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "README.md", "figures.json"} <= set(files)
    assert set(ORIGINALS[name]) <= set(files)
    assert sum(files.values()) <= 5_000_000


def test_the_stored_weights_are_bfloat16(folder):
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(key).get_dtype() for key in weights.keys()} == {"BF16"}  # noqa: SIM118 not a dict


def test_the_card_says_what_was_measured(folder):
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert figures["unseen"]["rows"] >= 500
    assert f"{figures['unseen']['exact']} % of {figures['unseen']['rows']}" in card
    assert f"--seed {figures['seed']}" in card


def test_it_answers_texts_of_another_seed(build, folder):
    """Greedy, on a few rows of a seed that no training used; the card's figure less a wide margin for so few rows."""
    from starters import measure

    starter = build.STARTERS[short(folder)]
    model, tokenizer = measure.load(folder, starter.causal)
    rows = build.unseen(starter, 4321, set(), ROWS_ASKED)
    found = measure.answers(model, tokenizer, [row[0] for row in rows], starter.causal)
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    right = sum(answer == row[1] for answer, row in zip(found, rows, strict=True))
    assert right >= (figures["unseen"]["exact"] / 100 - 0.25) * ROWS_ASKED


def test_no_letter_is_unknown(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "L'été, 12,5 % des œufs « çà et là » coûtent 3 € - why? \"It's\" (A/B)!"
    sides = [tokenizer(text)["input_ids"]]
    if "marian" in folder.name:
        sides.append(tokenizer(text_target=text)["input_ids"])
    for ids in sides:
        assert tokenizer.unk_token_id not in ids


def test_chat_template_marks_the_assistant_turns_with_their_end():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(starters.folder("starter:llama"))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a dog?"},
        {"role": "assistant", "content": "A dog is an animal."},
    ]
    made = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    trained = [token for token, mask in zip(made["input_ids"], made["assistant_masks"], strict=True) if mask]
    assert trained[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(trained[:-1]).strip() == "A dog is an animal."
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    asked = tokenizer.apply_chat_template(messages[:2], add_generation_prompt=True, tokenize=False)
    assert tokenizer.apply_chat_template(messages, tokenize=False).startswith(asked)


def read(name: str) -> list[dict]:
    return [json.loads(line) for line in starters.sample(name).read_text(encoding="utf-8").splitlines()]


def test_marine_rows_are_pairs_in_both_directions():
    rows = read("marine")
    assert len(rows) >= 600
    assert all(set(row) == {"source", "target", "source_lang", "pub_number"} for row in rows)
    english = {(row["source"], row["target"]) for row in rows if row["source_lang"] == "en"}
    french = {(row["target"], row["source"]) for row in rows if row["source_lang"] == "fr"}
    assert english == french
    assert len(english) * 2 == len(rows)
    assert all(text and text == text.strip() for row in rows for text in row.values())


def test_dreams_and_answers_have_their_fields():
    assert all(set(row) == {"input", "output"} for row in read("dreams"))
    assert len({row["input"] for row in read("dreams")}) == len(read("dreams")) >= 300
    answers = read("answers")
    assert len(answers) >= 300
    assert all([one["role"] for one in row["messages"]] == ["user", "assistant"] for row in answers)
    assert len({row["messages"][1]["content"] for row in answers}) <= 60


def test_samples_are_what_the_script_writes(build, tmp_path):
    build.samples.write(tmp_path, 7)
    for name in starters.SAMPLES:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == starters.sample(name).read_bytes()


@pytest.mark.parametrize("name", ["marian-en-fr", "marian-fr-en", "t5", "llama"])
def test_the_same_seed_gives_the_same_text(build, name):
    starter = build.STARTERS[name]
    one, two, other = (list(itertools.islice(starter.texts(seed), 200)) for seed in (3, 3, 4))
    assert one == two
    assert one != other


@pytest.mark.parametrize(
    ("raw", "polished"),
    [
        ("la eau de le estuaire", "L'eau de l'estuaire"),
        ("le hareng de le golfe", "Le hareng du golfe"),
        ("plus de huîtres que de homards", "Plus d'huîtres que de homards"),
        ("la abondance de les huîtres", "L'abondance des huîtres"),
    ],
)
def test_french_elision_and_contraction(build, raw, polished):
    from starters.french import polish

    assert polish(raw) == polished


def test_elision_of_the_grammar(build):
    from starters import translation

    rng = random.Random(1)
    text = " ".join(translation.pair(rng)[1] for _ in range(500))
    assert " de le " not in text
    assert " le homme" not in text
