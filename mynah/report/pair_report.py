"""`report.html` of a translator: how well it does beside copying, a lexicon and greedy search, and where it fails."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mynah import artifacts
from mynah.report.data_page import table
from mynah.report.data_report import describe_data
from mynah.report.data_words import bilingual
from mynah.report.pair_words import PAIR_WORDS
from mynah.report.run_report import curves, long_rows, reasons, timings_table
from mynah.report.style import report_page
from mynah.report.words import WORDS
from mynah.stages import RunPaths


def write_pair_report(paths: RunPaths, timings: dict[str, dict[str, Any]]) -> None:
    """Write `report.html` into a run from what its stages left there.

    Raises:
        ArtifactError: if a stage is missing or the page cannot be written.
    """
    summary, described = describe_data(paths.directory)
    artifacts.write_json(paths.directory / "data.json", summary)
    results = artifacts.read_json(paths.translated / "evaluation.json")["directions"]
    sections = [
        *(_verdict(result) for result in results),
        "" if results else f'<p class="verdict bad">{_w("not_measured")}</p>',
        *(_direction(result) for result in results),
        long_rows(paths),
        curves(paths),
        f"<h2>{bilingual(WORDS['plan'])}</h2>{reasons(paths)}",
        f"<details><summary>{bilingual(WORDS['data_details'])}</summary>{described}</details>",
        timings_table(timings),
    ]
    artifacts.write_text(paths.report, report_page(paths.directory.name, sections))


def _w(key: str, **values: Any) -> str:
    return bilingual(PAIR_WORDS[key], **values)


def _way(result: Mapping[str, Any]) -> str:
    direction = result["direction"]
    return html.escape(f"{direction['source']} → {direction['target']}")


def _verdict(result: Mapping[str, Any]) -> str:
    model, lexicon = result["model"], result["beside"]["lexicon"]
    better = model["bleu"] > lexicon["bleu"]
    text = _w(
        "better" if better else "no_better",
        way=_way(result),
        count=f"{model['count']:,}",
        bleu=f"{model['bleu']:.1f}",
        chrf=f"{model['chrf']:.1f}",
        lexicon=f"{lexicon['bleu']:.1f}",
    )
    return f'<p class="verdict{"" if better else " bad"}">{text}</p>'


def _direction(result: Mapping[str, Any]) -> str:
    measured = {"model": result["model"], **result["beside"]}
    with_comet = "comet" in result["model"]
    rows = [
        [
            _w(way),
            f"{scores['bleu']:.1f}",
            f"{scores['chrf']:.1f}",
            *([f"{scores['comet']:.3f}" if "comet" in scores else ""] if with_comet else []),
        ]
        for way, scores in measured.items()
    ]
    head = [_w("way"), "BLEU", "chrF", *(["COMET"] if with_comet else [])]
    model = result["model"]
    signed = (
        f"<p><small>{html.escape(model['bleu_signature'])}<br>{html.escape(model['chrf_signature'])}</small>"
    )
    heart = _w("by_heart", share=f"{result['learned_by_heart']:.0%}")
    return (
        f"<h2>{_way(result)}</h2>{table(head, rows)}{signed}<p>{heart}"
        f"{_samples('samples', result['samples'])}{_samples('worst', result['worst'])}"
    )


def _samples(title: str, samples: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [html.escape(str(sample[key])) for key in ("place", "source", "translation", "reference", "lexicon")]
        + [f"{sample['chrf']:.0f}"]
        for sample in samples
    ]
    head = [_w(key) for key in ("place", "source", "model", "reference", "lexicon")] + ["chrF"]
    return f"<h3>{_w(title)}</h3>{table(head, rows, words=5, kind='talk')}"
