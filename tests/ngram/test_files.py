from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.errors import ArtifactError, ConfigError, DataError, MynahError
from mynah.ngram import NGramModel
from mynah.ngram.packed import PackedInts

LINES = ["the cat sat", "the dog sat", "a cat ran", "the cat ran away", "a dog sat down"] * 3

ARPA = r"""
\data\
ngram 1=5
ngram 2=4
ngram 3=1

\1-grams:
-1.5	<unk>	0
-99	<s>	-0.3
-0.7	</s>
-0.6	good	-0.2
-0.5	day	-0.1

\2-grams:
-0.2	<s> good	-0.4
-0.3	good day	-0.5
-0.1	day </s>
-0.9	good good

\3-grams:
-0.05	<s> good day

\end\
"""


@pytest.fixture
def model() -> NGramModel:
    with pytest.warns(UserWarning, match="too small"):
        return NGramModel.train(LINES, order=3)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 33).flatmap(lambda b: st.tuples(st.just(b), st.lists(st.integers(0, (1 << b) - 1)))))
def test_packed_integers_come_back(drawn: tuple[int, list[int]]) -> None:
    bits, values = drawn
    packed = PackedInts.pack(np.array(values, np.uint64), (1 << bits) - 1)
    assert packed.bits == bits
    assert packed.range(0, len(values)).tolist() == values
    assert packed.at(np.arange(len(values))[::-1]).tolist() == values[::-1]
    assert packed.words.nbytes <= len(values) * bits / 8 + 16


@pytest.mark.parametrize("name", ["m.ng", "m.arpa", "m.arpa.gz", "renamed"])
def test_a_model_comes_back(model: NGramModel, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    model.save(tmp_path / "m.arpa.gz" if name == "renamed" else path)
    if name == "renamed":
        (tmp_path / "m.arpa.gz").rename(path)
    again = NGramModel.load(path, verify=True)
    assert again.tables.counts == model.tables.counts
    for line in ("the cat sat", "a bird flew away", ""):
        for one, other in zip(again.score(line), model.score(line), strict=True):
            assert one.log10_prob == pytest.approx(other.log10_prob, abs=1e-7)
            assert (one.token, one.order, one.oov) == (other.token, other.order, other.oov)
    assert list(tmp_path.iterdir()) == [path]


def test_equal_models_are_equal_files(model: NGramModel, tmp_path: Path) -> None:
    for name in ("m.ng", "m.arpa.gz"):
        model.save(tmp_path / name)
        first = (tmp_path / name).read_bytes()
        model.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_the_compact_form_is_small_and_nearly_the_same(shared: Path, tmp_path: Path) -> None:
    text = shared / "text_tinyshakespeare" / "input.txt"
    exact = NGramModel.train(text, order=5)
    compact = NGramModel.train(text, order=5, compact=True)
    compact.save(tmp_path / "m.ng")
    again = NGramModel.load(tmp_path / "m.ng")
    assert (tmp_path / "m.ng").stat().st_size / sum(again.tables.counts) < 10
    off = exact.tables.score(exact.reader.context("We are accounted poor citizens ,")).log_probs - (
        again.tables.score(again.reader.context("We are accounted poor citizens ,")).log_probs
    )
    assert 0 < np.abs(off).max() < 1e-3
    assert again.tables.distribution([1]).sum() == pytest.approx(1, abs=1e-3)


def test_kenlm_and_we_read_what_others_wrote(tmp_path: Path) -> None:
    path = tmp_path / "m.arpa"
    path.write_text(ARPA)
    model = NGramModel.load(path)
    assert [round(t.log10_prob, 6) for t in model.score("good day")] == [-0.2, -0.05, -0.6]
    # good good: a bigram; day after "good good" backs off from what has no weight, </s> after "good day": -0.5 - 0.1.
    assert sum(t.log10_prob for t in model.score("good good day")) == pytest.approx(
        -0.2 - 0.4 - 0.9 - 0.3 - 0.6
    )
    kenlm = pytest.importorskip("kenlm")
    peer = kenlm.Model(str(path))
    for line in ("good day", "good good day", "bad day", "day good", ""):
        ours = sum(t.log10_prob for t in model.score(line)) if line else None
        if ours is not None:
            assert ours == pytest.approx(peer.score(line), abs=1e-5)


def test_line_ends_of_two_kinds_and_a_missing_unk_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.arpa"
    lines = ARPA.replace("ngram 1=5", "ngram 1=4").replace("-1.5	<unk>	0\n", "").split("\n")
    path.write_bytes(b"".join(x.encode() + (b"\r\n" if n % 2 else b"\n") for n, x in enumerate(lines)))
    model = NGramModel.load(path)
    assert [round(t.log10_prob, 6) for t in model.score("good day")] == [-0.2, -0.05, -0.6]
    assert model.score("bad")[0].log10_prob == pytest.approx(-100.3)  # as KenLM has it
    model.save(tmp_path / "again.arpa")
    assert NGramModel.load(tmp_path / "again.arpa").score("bad") == model.score("bad")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("\\data\\", "data", r"is no n-gram model"),
        ("ngram 2=4", "ngram 3=4", r":4: n-grams of order 3: expected orders from 1 on"),
        ("ngram 2=4", "ngram 2=5", r":19: the 2-grams end here, earlier than \\data\\ says"),
        ("ngram 2=4", "ngram 2=3", r":18: expected \\3-grams:; \\data\\ says 3 2-grams"),
        ("ngram 3=1", "ngram 3=2", r":22: the 3-grams end here"),
        ("ngram 2=4", "ngram 2=999999999999999", r":19: the 2-grams end here"),
        ("ngram 2=4", "ngram 2=" + "9" * 30, r":4: expected \\1-grams:"),
        ("\\end\\", "", r"the file ends before \\end\\: it was cut short"),
        ("-0.05	<s> good day\n\n\\end\\\n", "", r":20: the file ends after 0 of 1 3-grams"),
        ("-0.5	day", "0.5	day", r":12: a log-probability above 0"),
        ("-0.5	day	-0.1", "-0.5	good	-0.1", r":12: this n-gram stands in the file twice"),
        ("good day	-0.5", "<s> good	-0.5", r":16: this n-gram stands in the file twice"),
        ("<s> good	-0.4", "<s> good", r":15: no back-off weight, though longer n-grams begin"),
        ("good	-0.2", "good", r":11: no back-off weight, though longer n-grams begin"),
        ("-0.05	<s>", "-0.05	day", r":21: its first 2 words are no 2-gram of this file"),
        ("good good", "good gold", r":18: a word that is not among the 1-grams"),
        (
            "-0.05	<s> good day",
            "-0.05	<s> good day	-1",
            r":21: 5 fields; expected a log-probability, 3 words and",
        ),
        ("-0.3	good", "-0.3x	good", r":16: a probability or a weight that is no number"),
        ("-0.3	good", "nan	good", r":16: a probability or a weight that is no number"),
        ("-99	<s>	-0.3", "-99	start	-0.3", r"no <s> among the words"),
        ("\\2-grams:", "\\4-grams:", r":14: expected \\2-grams:; \\data\\ says 5 1-grams"),
    ],
)
def test_damaged_arpa_files_are_refused_with_the_line(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    path = tmp_path / "m.arpa"
    assert before in ARPA
    path.write_text(ARPA.replace(before, after, 1))
    with pytest.raises(MynahError, match=told) as error:
        NGramModel.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_damage_is_refused(model: NGramModel, tmp_path: Path) -> None:
    path = tmp_path / "m.arpa"
    path.write_bytes(ARPA.encode().replace(b"\tday\t", b"\td\xe9y\t"))
    with pytest.raises(DataError, match=r"m.arpa:12: a word that is not UTF-8"):
        NGramModel.load(path)
    model.save(tmp_path / "m.arpa.gz")
    whole = (tmp_path / "m.arpa.gz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read to its end"):
        NGramModel.load(path)
    path.write_bytes(gzip.compress(b"not a model at all"))
    with pytest.raises(DataError, match=r"m.arpa:1: expected an ARPA file"):
        NGramModel.load(path)
    with pytest.raises(ArtifactError, match="no such file"):
        NGramModel.load(tmp_path / "nowhere.ng")


def test_damaged_files_of_our_own_are_refused(model: NGramModel, tmp_path: Path) -> None:
    path = tmp_path / "m.ng"
    model.save(path)
    whole = path.read_bytes()
    for data, told in (
        (whole[:30], "is no n-gram model"),
        (whole[:7] + b"\x09" + whole[8:], "has version 9 of the format, expected 1"),
        (whole[:60] + b"?" + whole[61:], "head does not match its hash"),
        (whole[: len(whole) - 200], "is cut short"),
    ):
        path.write_bytes(data)
        with pytest.raises(ArtifactError, match=told):
            NGramModel.load(path)
    at = len(whole) - 40
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(ArtifactError, match="numbers do not match their hash"):
        NGramModel.load(path, verify=True)


def test_what_arpa_cannot_say_is_refused(tmp_path: Path) -> None:
    model = NGramModel.train(LINES, order=2, smoothing="add-k")
    with pytest.raises(ConfigError, match="which ARPA cannot say"):
        model.save(tmp_path / "m.arpa")
    with pytest.raises(ArtifactError, match="cannot be written"):
        model.save(tmp_path / "m.arpa" / "nowhere" / "m.ng") if (tmp_path / "m.arpa").touch() else (
            model.save(tmp_path / "m.arpa" / "m.ng")
        )
    model.save(tmp_path / "m.ng")
    again = NGramModel.load(tmp_path / "m.ng")
    assert again.score("the cat") == model.score("the cat")


def test_maximum_likelihood_goes_through_arpa(tmp_path: Path) -> None:
    model = NGramModel.train(LINES, order=2, smoothing="maximum-likelihood")
    model.save(tmp_path / "m.arpa")
    again = NGramModel.load(tmp_path / "m.arpa")
    assert again.tables.distribution([1]).tolist() == pytest.approx(model.tables.distribution([1]).tolist())
    assert np.isinf(model.perplexity(["a flew"]).perplexity)
    assert again.perplexity(["a flew"]).perplexity > 1e30  # -99 stands for nothing there


def test_words_are_read_when_they_are_asked_for(model: NGramModel, tmp_path: Path) -> None:
    model.save(tmp_path / "m.ng")
    code = (
        "import sys; from mynah.ngram import NGramModel; "
        f"m = NGramModel.load({str(tmp_path / 'm.ng')!r}); "
        "import json; print(json.dumps([m.reader.vocabulary._made is None, 'numba' in sys.modules, "
        "'torch' in sys.modules, m.score('the cat')[0].order]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False, False, 2]
