"""`report.html` of a classifier: how well it tells the classes, where it fails, which labels are doubtful."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mynah import artifacts
from mynah.report.class_words import CLASS_WORDS
from mynah.report.data_page import table
from mynah.report.data_report import describe_data
from mynah.report.data_words import bilingual
from mynah.report.first_screen import next_steps
from mynah.report.run_report import timings_table
from mynah.report.style import report_page
from mynah.report.words import WORDS
from mynah.stages import RunPaths

#: Rows of each table, characters of a text that is shown.
SHOWN, LONGEST = 40, 300


def write_class_report(paths: RunPaths, timings: dict[str, dict[str, Any]]) -> None:
    """Write `report.html` into a run from what its stages left there.

    Raises:
        ArtifactError: if a stage is missing or the page cannot be written.
    """
    summary, described = describe_data(paths.directory)
    artifacts.write_json(paths.directory / "data.json", summary)
    about = artifacts.read_json(paths.classifier / "classifier.json")
    result = artifacts.read_json(paths.classifier / "evaluation.json")
    sections = [
        _verdict(result),
        f'<div class="first"><section>{next_steps(paths)}</section></div>',
        _ways(about, result),
        _classes(about, result),
        _confused(about, result),
        _texts("mistakes", result.get("mistakes", ()), "said"),
        _doubts(result, artifacts.read_json(paths.classifier / "doubts.json")),
        f"<details><summary>{bilingual(WORDS['data_details'])}</summary>{described}</details>",
        timings_table(timings),
    ]
    artifacts.write_text(paths.report, report_page(paths.directory.name, sections))


def _w(key: str, **values: Any) -> str:
    return bilingual(CLASS_WORDS[key], **values)


def _verdict(result: Mapping[str, Any]) -> str:
    measured = result.get("held_out")
    if measured is None:
        return f'<p class="verdict bad">{_w("not_measured")}</p>'
    majority = result["beside"]["majority"]["accuracy"]
    better = measured["accuracy"] > majority
    text = _w(
        "better" if better else "no_better",
        count=f"{measured['count']:,}",
        accuracy=f"{measured['accuracy']:.1%}",
        f1=f"{measured['macro_f1']:.1%}",
        majority=f"{majority:.1%}",
    )
    return f'<p class="verdict{"" if better else " bad"}">{text}</p>'


def _ways(about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    held = {about["way"]: result["held_out"], **result["beside"]} if "held_out" in result else {}
    rows = []
    for tried in about["tried"]:
        name = _w(tried["way"]) + (_w("balanced") if tried["balanced"] else "")
        name += _w("augmented") if tried.get("augmented") else ""
        measured = held.get(tried["way"]) if _is_measured(tried, about["tried"], about["way"]) else None
        figures = [f"{measured[key]:.1%}" for key in ("macro_f1", "accuracy")] if measured else ["", ""]
        loss = f"{measured['log_loss']:.3f}" if measured else ""
        rows.append([name, f"{tried['macro_f1']:.1%}", *figures, loss])
    if held:
        least = held["majority"]
        rows.append([_w("majority"), "", f"{least['macro_f1']:.1%}", f"{least['accuracy']:.1%}", ""])
    head = [_w("way"), _w("unseen"), _w("held"), _w("accuracy"), _w("log_loss")]
    taken = _w("taken", way=CLASS_WORDS[about["way"]][0], reason=about["reason"], base=result["base"])
    surely = ""
    if "ece" in result.get("held_out", {}):
        surely = "<p>" + _w(
            "surely",
            ece=f"{result['held_out']['ece']:.1%}",
            threshold=f"{about['threshold']:.0%}",
            share=f"{result['outside_share']:.1%}",
        )
    if order := result.get("held_out", {}).get("order"):
        surely += "<p>" + _w(
            "order",
            one_off=f"{order['one_off']:.1%}",
            error=f"{order['mean_absolute_error']:.2f}",
            kappa=f"{order['kappa']:.3f}",
        )
    if micro := result.get("held_out", {}).get("micro_f1"):
        surely += "<p>" + _w("several", f1=f"{micro:.1%}")
    return f"<h2>{_w('ways')}</h2>{table(head, rows)}<p>{taken}</p>{surely}"


def _is_measured(tried: Mapping[str, Any], all_of: Sequence[Mapping[str, Any]], taken: str) -> bool:
    """Whether the held-out figures of a way are those of this weighting: that which was taken, else the plain one."""
    same = [one for one in all_of if one["way"] == tried["way"]]
    if len(same) == 1:
        return True
    best = max(same, key=lambda one: one["macro_f1"]) if tried["way"] == taken else same[0]
    return tried is best


def _classes(about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    measured = {row["name"]: row for row in result.get("held_out", {}).get("classes", ())}
    rows = []
    for name, count in zip(about["labels"], about["counts"], strict=True):
        row = measured.get(name, {})
        figures = [_share(row, key) for key in ("precision", "recall", "f1", "roc_auc", "average_precision")]
        rows.append([html.escape(name), f"{count:,}", str(row.get("support", "")), *figures])
    head = [_w(key) for key in ("class", "rows", "held_out_rows", "precision", "recall", "f1", "roc", "pr")]
    notes = ""
    if result["labels"]["rare_rows"]:
        named = ", ".join(result["labels"]["rare"][:10])
        notes += f"<p>{_w('rare', rows=result['labels']['rare_rows'], names=named)}</p>"
    if result["unknown"]:
        notes += f"<p>{_w('unknown', count=result['unknown'])}</p>"
    return f"<h2>{_w('classes')}</h2>{table(head, rows)}{notes}"


def _share(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:.1%}" if key in row and row.get("support") else ""


def _confused(about: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    if "confusion" not in result.get("held_out", {}):
        return ""
    names = about["labels"]
    pairs = [
        (count, names[i], names[j])
        for i, row in enumerate(result["held_out"]["confusion"])
        for j, count in enumerate(row)
        if i != j and count
    ]
    rows = [
        [html.escape(is_), html.escape(said), f"{count:,}"]
        for count, is_, said in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:SHOWN]
    ]
    if not rows:
        return ""
    return f"<h2>{_w('confused')}</h2>{table([_w('is'), _w('said'), _w('times')], rows, words=2)}"


def _texts(title: str, found: Sequence[Mapping[str, Any]], other: str) -> str:
    if not found:
        return ""
    rows = [
        [
            html.escape(row["place"]),
            html.escape(row["text"][:LONGEST]),
            html.escape(row["label"]),
            html.escape(row[other]),
            f"{row['probability']:.0%}",
        ]
        for row in found[:SHOWN]
    ]
    head = [_w("place"), _w("text"), _w("label"), _w("said" if other == "said" else "looks"), _w("sure")]
    return f"<h2>{_w(title)}</h2>{table(head, rows, words=4)}"


def _doubts(result: Mapping[str, Any], doubts: Sequence[Mapping[str, Any]]) -> str:
    if not doubts:
        return ""
    note = _w("doubts_note", count=f"{len(doubts):,}", asked=f"{result['asked']:,}")
    made = _texts("doubts", doubts, "looks_like")
    return made.replace("</h2>", f"</h2><p>{note}</p>", 1)
