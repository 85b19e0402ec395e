"""The report's section on answers: how much of the log can be answered, how surely, and what misled the bot."""

from __future__ import annotations

import html
from functools import partial
from typing import Any

from mynah import artifacts
from mynah.report.data_page import table
from mynah.report.data_words import bilingual
from mynah.report.drawing import svg_of
from mynah.report.words import ANSWERS
from mynah.stages import RunPaths

#: Contradictions that are listed, at most.
MOST_PAIRS = 100


def describe_answers(paths: RunPaths, lookups: dict[str, float] | None) -> str:
    """Return the section, or nothing of a run that does not answer from a log.

    Args:
        paths: of the run.
        lookups: share of the questions that each lookup answers rightly, if there are questions.
    """
    path = paths.answers / "answers.json"
    if not path.is_file():
        return ""
    about: dict[str, Any] = artifacts.read_json(path)
    parts = [
        f"<h2>{_w('answers')}</h2>",
        f"<p>{_w('answers_from', **_sizes(about))} {_w('mode_' + about['mode'])}</p>",
    ]
    if not about["sure"]:
        parts.append(f"<p>{_w('never_sure')}</p>")
    else:
        parts.append(_coverage(about))
    if about["contradictions"]:
        parts.append(_contradictions(about["contradictions"]))
    if asked := about.get("questions"):
        parts.append(_questions(asked, lookups or {}))
    return "".join(parts)


def _w(key: str, **values: Any) -> str:
    return bilingual(ANSWERS[key], **values)


def _sizes(about: dict[str, Any]) -> dict[str, str]:
    return {name: f"{about[name]:,}" for name in ("exchanges", "replies")}


def _coverage(about: dict[str, Any]) -> str:
    point = next(p for p in about["curve"] if p["from"] >= about["threshold"])
    told = _w(
        "coverage",
        count=f"{about['held_out']:,}",
        outside=f"{about['outside']:,}",
        answered=f"{point['answered']:.1%}",
        wrong=f"{point['wrong']:.1%}",
        let_in=f"{point['let_in']:.1%}",
    )
    drawn = svg_of(partial(_draw_bins, about["bins"]), 3)  # coverage is drawn on the first screen
    error = f"{about['ece']:.3f}"
    return f"<p>{told}</p>{drawn}<p>{_w('reliability', ece=error)}</p>"


def _contradictions(pairs: list[dict[str, Any]]) -> str:
    def cell(side: dict[str, str]) -> str:
        return html.escape(", ".join(filter(None, (side["place"], side["time"]))) + ": " + side["reply"])

    rows = [
        [cell(pair["older"]), cell(pair["newer"]), _w("newer_holds" if pair["dated"] else "undated")]
        for pair in pairs[:MOST_PAIRS]
    ]
    head = [_w("older"), _w("newer"), _w("holds")]
    summary = _w("contradictions", count=f"{len(pairs):,}")
    return f"<details><summary>{summary}</summary>{table(head, rows, words=3)}</details>"


def _draw_bins(bins: list[dict[str, float]], axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color="#9aa7b1", linewidth=1)
    axes.plot([b["said"] for b in bins], [b["was"] for b in bins], "o-", color="#2b7a4b")
    axes.set_xlabel("probability of being right, as the judge has it")
    axes.set_ylabel("share that is right")


def _questions(asked: dict[str, Any], lookups: dict[str, float]) -> str:
    parts = []
    if asked["count"]:
        parts.append(
            _w(
                "asked_known",
                count=f"{asked['count']:,}",
                answered=f"{asked['answered'] / asked['count']:.1%}",
                right=f"{asked['right'] / max(1, asked['answered']):.1%}",
                back=f"{asked['asked_back']:,}",
            )
        )
    if asked["unanswerable"]:
        silent = 1 - asked["stated"] / asked["unanswerable"]
        parts.append(_w("asked_unknown", count=f"{asked['unanswerable']:,}", silent=f"{silent:.1%}"))
    rows = [
        [
            html.escape("; ".join([*w["history"], w["question"]])),
            html.escape(w["reply"]),
            html.escape(w["expected"]),
            "<br>".join(html.escape(f"{m['place']}: {m['question']}") for m in w["misled"]),
        ]
        for w in asked["wrong"]
    ]
    head = [_w("question"), _w("said"), _w("expected"), _w("misled")]
    wrong = (
        f"<details><summary>{_w('wrong', count=len(rows))}</summary>{table(head, rows, words=4)}</details>"
    )
    known = [[_w(f"lookup_{name}"), f"{right:.1%}"] for name, right in lookups.items()]
    beside = table([_w("lookup"), _w("lookup_right")], known) if known else ""
    return f"<p>{' '.join(parts)}</p>{wrong if rows else ''}{beside}"
