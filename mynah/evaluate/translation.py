"""How well texts were translated: BLEU and chrF by sacrebleu, with their signatures, and COMET where it is installed.

Papineni et al. 2002; Popović 2015; Post 2018, "A Call for Clarity in Reporting BLEU Scores"; Rei et al. 2020.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

#: How sacrebleu cuts the words of a language for BLEU; of the others as mteval-v13a does.
TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char", "ko": "char"}
#: The model that COMET asks.
COMET_MODEL = "Unbabel/wmt22-comet-da"


def measure_translations(
    translations: Sequence[str], references: Sequence[str], language: str
) -> dict[str, Any]:
    """Return BLEU and chrF of a corpus, 0 to 100, and the signatures that say exactly what was computed.

    Args:
        translations: N.
        references: N, one each.
        language: the code of the language of both.
    """
    from sacrebleu.metrics import BLEU, CHRF

    bleu, chrf = BLEU(tokenize=TOKENIZERS.get(language, "13a")), CHRF()
    scores = (
        bleu.corpus_score(list(translations), [list(references)]),
        chrf.corpus_score(list(translations), [list(references)]),
    )
    return {
        "bleu": scores[0].score,
        "chrf": scores[1].score,
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
        "count": len(references),
    }


def each_chrf(translations: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return chrF of every translation by itself, 0 to 100: BLEU says little of one sentence."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [
        chrf.sentence_score(translation, [reference]).score
        for translation, reference in zip(translations, references, strict=True)
    ]


def comet(sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> float | None:
    """Return COMET's score of a corpus, about 0 to 1; None where it is not installed or its model is not here.

    Nothing is fetched: whoever wants it runs `comet-score` once, which fetches the model.
    """
    if importlib.util.find_spec("comet") is None:
        return None
    from comet import download_model, load_from_checkpoint

    try:
        path = download_model(COMET_MODEL, local_files_only=True)
    except (OSError, KeyError):
        return None
    rows = [
        {"src": source, "mt": translation, "ref": reference}
        for source, translation, reference in zip(sources, translations, references, strict=True)
    ]
    return float(load_from_checkpoint(path).predict(rows, batch_size=8, gpus=0).system_score)
