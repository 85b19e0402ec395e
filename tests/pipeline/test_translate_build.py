"""From a file of pairs to a report and a translation, by one command and from Python."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from mynah import Translator
from mynah.artifacts import read_json
from mynah.cli.main import main
from mynah.errors import ConfigError, DataError
from mynah.pipeline.build import build

NUMBERS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs"}
THINGS = {"dogs": "Hunde", "cats": "Katzen", "houses": "Häuser", "trees": "Bäume", "books": "Bücher"}
VERBS = {"I see": "ich sehe", "we have": "wir haben", "they want": "sie wollen", "you need": "du brauchst"}
PAIRS = [
    (f"{verb} {number} {thing} in the garden today", f"{v} heute {n} {t} im Garten")
    for verb, v in VERBS.items()
    for number, n in NUMBERS.items()
    for thing, t in THINGS.items()
]
SMALL = {
    "base": "none",
    "plan": {"size": "nano", "tune": {"steps": 160, "eval_every": 80}},
    "clean": {"duplicates": {"exact": False}},
    "translate": {"directions": "both", "measured": 20},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    source = folder / "pairs.tsv"
    source.write_text("".join(f"{one}\t{other}\n" for one, other in PAIRS), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        # So small a network decides by rounding which words hang on a term: the same on every processor.
        patched.setattr("mynah.train.optim.coarse_products", nullcontext)
        patched.setattr("mynah.train.precision.gain_of_bfloat16", lambda *product: 1.0)
        build([source], SMALL, folder / "run")
    return folder / "run"


def test_pairs_become_a_translator(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, back = read_json(run / "translate" / "evaluation.json")["directions"]
    assert (there["direction"]["target"], back["direction"]["target"]) == ("de", "en")
    for result in (there, back):
        assert result["model"]["bleu"] > max(result["beside"]["lexicon"]["bleu"], 60)
        assert "tok:13a" in result["model"]["bleu_signature"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "en → de" in page
    assert "word by word (IBM model 1)" in page
    main(["translate", str(run), "we have two cats in the garden today", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == "wir haben heute zwei Katzen im Garten"
    assert found["confidence"] > 0.5
    main(["translate", str(run), "wir haben heute zwei Katzen im Garten", "--to", "English", "--beam", "1"])
    assert capsys.readouterr().out == "we have two cats in the garden today\n"


def test_the_glossary_is_obeyed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terms = tmp_path / "terms.csv"
    terms.write_text("cats,Stubentiger\n", encoding="utf-8")
    main(["translate", str(run), "we have two cats in the garden today", "--glossary", str(terms), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == "wir haben heute zwei Stubentiger im Garten"
    assert found["terms"] == ["Stubentiger"]


def test_several_terms_stand_where_the_words_for_them_stood(run: Path) -> None:
    model = Translator.from_pretrained(run)
    line = "we have two cats in the garden today"

    def said(*terms: tuple[str, str]) -> str:
        return model.translate(line, glossary=terms)

    assert said(("two cats", "ein Katzenpaar")) == "wir haben heute ein Katzenpaar im Garten"
    assert (
        said(("cats", "Stubentiger"), ("two", "ein paar")) == "wir haben heute ein paar Stubentiger im Garten"
    )
    # What it says by itself is not disturbed; where nothing hangs on the term, it is said all the same.
    assert said(("cats", "Katzen")) == "wir haben heute zwei Katzen im Garten"
    assert "Hof" in said(("garden", "Hof"))


def test_the_glossary_of_a_build_goes_with_the_run_and_trains_nothing_again(
    run: Path, tmp_path: Path
) -> None:
    # A copy: the others have no glossary.
    source, run = run.parent / "pairs.tsv", shutil.copytree(run, tmp_path / "run")
    terms = tmp_path / "terms.csv"
    terms.write_text("cats,Stubentiger\n", encoding="utf-8")
    before = (run / "tune" / "manifest.json").read_bytes()
    recipe = {**SMALL, "translate": {**SMALL["translate"], "glossary": str(terms)}}  # type: ignore[dict-item]
    build([source], recipe, run)
    terms.unlink()
    assert (run / "tune" / "manifest.json").read_bytes() == before
    model = Translator.from_pretrained(run)
    assert "Stubentiger" in model.translate("we have two cats in the garden today")
    assert Translator.from_pretrained(model).translate("we have two dogs in the garden today") == (
        "wir haben heute zwei Hunde im Garten"
    )
    with pytest.raises(ConfigError, match="none of them empty"):
        model.translate("we", glossary=[("", "x")])
    with pytest.raises(DataError, match="no-such"):
        build([source], {**SMALL, "translate": {"glossary": "no-such.csv"}}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_prior_is_refused(run: Path, tmp_path: Path) -> None:
    recipe = {**SMALL, "task": "translate", "prior": {"kind": "ngram"}}
    with pytest.raises(ConfigError, match="a translator learns from pairs alone"):
        build([run.parent / "pairs.tsv"], recipe, tmp_path / "run")


def test_lines_stay_lines_and_long_texts_are_translated_whole(run: Path) -> None:
    model = Translator.from_pretrained(run)
    line = "we have two cats in the garden today"
    text = model.translate(f"{line}\n\n{'. '.join([line] * 12)}")
    first, second, third = text.split("\n")
    assert (first, second) == ("wir haben heute zwei Katzen im Garten", "")
    assert third.count("Katzen") >= 10


def test_a_translator_does_not_talk(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["chat", str(run)])
    assert stop.value.code == 2
    assert "translates and does not talk; ask it: mynah translate" in capsys.readouterr().err


def test_from_python_and_kept(tmp_path: Path) -> None:
    model = Translator.from_pretrained("nano").train(PAIRS * 3, epochs=12)
    with pytest.raises(ConfigError, match="does not translate into that"):
        model.translate("we", to="fr")
    said = model.translate("we have two cats in the garden today", width=2)
    model.save(tmp_path / "kept")
    again = Translator.from_pretrained(tmp_path / "kept")
    assert again.translate("we have two cats in the garden today", width=2) == said
    assert again.evaluate(PAIRS[:10])["count"] == 10
    with pytest.raises(DataError, match="row 1: found str"):
        model.train([("a", "b"), "c"])


def test_no_pairs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "texts.jsonl"
    lines = (json.dumps({"text": f"It was night number {n}, dark and stormy."}) for n in range(20))
    source.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["build", str(source), "--task", "translate", "--runs", str(tmp_path / "runs")])
    assert stop.value.code == 2
    assert "no text and translation in any row" in capsys.readouterr().err
