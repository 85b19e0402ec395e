"""`report.html`: one self-contained page that shows what was read, trained and reached."""

from __future__ import annotations

import html
import json
import shlex
from functools import partial
from typing import Any

from mynah import artifacts
from mynah.artifacts import read_manifest
from mynah.data.sources import SOURCES
from mynah.report.answers import describe_answers
from mynah.report.data_page import table
from mynah.report.data_report import describe_data
from mynah.report.data_words import bilingual
from mynah.report.drawing import svg_of
from mynah.report.first_screen import first_screen
from mynah.report.style import report_page
from mynah.report.words import WORDS
from mynah.stages import RunPaths


def write_report(paths: RunPaths, timings: dict[str, dict[str, Any]]) -> None:
    """Write `report.html` into a run from what its stages left there.

    Raises:
        ArtifactError: if a stage is missing or the page cannot be written.
    """
    summary, described = describe_data(paths.directory)
    artifacts.write_json(paths.directory / "data.json", summary)
    sections = [
        first_screen(paths),
        describe_answers(paths, _evaluation(paths).get("questions", {}).get("lookups")),
        _scores(paths),
        _questions(paths),
        _samples(paths),
        curves(paths),
        _preferences(paths),
        long_rows(paths),
        _data(paths, described),
        _plan(paths),
        timings_table(timings),
        _again(paths),
    ]
    artifacts.write_text(paths.report, report_page(paths.directory.name, sections))


def _w(key: str, **values: Any) -> str:
    """Return a phrase in both languages; the page shows one."""
    return bilingual(WORDS[key], **values)


def _evaluation(paths: RunPaths) -> dict[str, Any]:
    value: dict[str, Any] = artifacts.read_json(paths.evaluation)
    return value


def _verdict(paths: RunPaths) -> str:
    result = _evaluation(paths)
    verdict = result["verdict"]
    over_base = verdict.get("on") == "replies"
    key = "beats" if verdict["beats_ngram"] else "loses_over_base" if over_base else "loses"
    text = _w(
        key,
        network=f"{verdict['network_bpb']:.3f}",
        ngram=f"{verdict['ngram_bpb']:.3f}",
        order=result["ngram"]["order"],
    )
    if over_base:
        text += " " + _w("on_replies", base=f"{result['base']['replies']['bpb']:.3f}")
    if general := result.get("general"):
        text += " " + _w("general_text", before=f"{general['before']:.3f}", after=f"{general['after']:.3f}")
    if "questions" in result:
        text += " " + _w("questions_line", **_question_figures(result["questions"]))
    return f'<p class="verdict{"" if verdict["beats_ngram"] else " bad"}">{text}</p>'


def _question_figures(questions: dict[str, Any]) -> dict[str, str]:
    lookup = questions["lookup_accuracy"]
    return {
        "count": str(questions["count"]),
        "accuracy": f"{questions['accuracy']:.1%}",
        "lookup": "n/a" if lookup is None else f"{lookup:.1%}",
    }


def _data(paths: RunPaths, described: str) -> str:
    collect, clean = read_manifest(paths.stage("collect")).counts, read_manifest(paths.stage("clean")).counts
    parts, tokens = read_manifest(paths.stage("split")).counts, read_manifest(paths.stage("tokens")).counts
    rows = [[_w("rows_read"), f"{collect['rows']:,}"]]
    rows += [[_w(kind), f"{n:,}"] for kind, n in collect["records"].items()]
    rows += [[_w("rejected"), f"{collect['rejected']:,}"]]
    rows += [[_w("changed") + html.escape(k), f"{n:,}"] for k, n in clean["changed"].items()]
    rows += [[_w("dropped") + html.escape(k), f"{n:,}"] for k, n in clean["dropped"].items()]
    rows += [
        [_w("train"), f"{parts['train']:,}"],
        [_w("held_out"), f"{parts['held_out']:,}"],
        [_w("tokens"), f"{tokens['train']['tokens']:,}"],
    ]
    details = f"<details><summary>{_w('data_details')}</summary>{described}</details>"
    return f"<h2>{_w('data')}</h2>{table([_w('what'), _w('count')], rows)}{details}"


def _scores(paths: RunPaths) -> str:
    result = _evaluation(paths)
    rows = []
    for order, score in result["ngram"]["by_order"].items():
        name = _w("ngram_order", order=order)
        rows.append([name, f"{score['bpb']:.3f}", f"{score['perplexity']:.1f}", "", ""])
    main = []
    straight = result["verdict"].get("on") == "replies"  # an open model that went to the replies as it came
    labels = ("untouched", "adapted") if straight else ("base", "chat")
    keys = ("ngram", "untouched", "base", "chat")
    for label, key in zip(("ngram", "untouched", *labels), keys, strict=True):
        for part in ("all", "replies"):
            score = result.get(key, {}).get(part)
            if score:
                main.append(
                    [
                        _w(label),
                        _w(part),
                        f"{score['bpb']:.3f}",
                        f"{score['perplexity']:.1f}",
                        f"{score['accuracy']:.1%}",
                    ]
                )
    main += [
        [html.escape(model["name"]), _w(part), f"{model[part]:.3f}", "", ""]
        for model in _beside(paths)
        for part in ("all", "replies")
        if part in model
    ]
    head = [_w("model"), _w("measured_on"), _w("bpb"), _w("perplexity"), _w("accuracy")]
    orders = table([_w("model"), _w("bpb"), _w("perplexity"), "", ""], rows)
    held = result["held_out"]
    told = _w("held_out_note", records=f"{held['records']:,}", tokens=f"{held['tokens']:,}")
    left_out = "".join(
        f"<p>{_w('not_compared_' + why, name=html.escape(model['name']), count=str(model[why]))}</p>"
        for model in _beside(paths)
        for why in ("learned", "unsaid")
        if model[why]
    )
    return (
        f"<h2>{_w('scores')}</h2>{_verdict(paths)}<p>{told}</p>{table(head, main, words=2)}{left_out}"
        f"<details><summary>{_w('by_order')}</summary>{orders}</details>"
    )


def _beside(paths: RunPaths) -> list[dict[str, Any]]:
    """Return what other models reach on the same records, if any was asked for."""
    found: list[dict[str, Any]] = artifacts.read_json(paths.beside) if paths.beside.is_file() else []
    return found


def _questions(paths: RunPaths) -> str:
    questions = _evaluation(paths).get("questions")
    if not questions:
        return ""
    rows = [
        [html.escape(w["question"]), html.escape(w["reply"]), html.escape(w["expected"])]
        for w in questions["wrong"]
    ]
    head = [_w("question"), _w("reply"), _w("expected")]
    wrong = table(head, rows, words=3, kind="talk") if rows else ""
    line = _w("questions_line", **_question_figures(questions))
    return (
        f"<h2>{_w('questions')}</h2><p>{line}</p>"
        f"<details><summary>{_w('wrong', count=len(rows))}</summary>{wrong}</details>"
    )


def long_rows(paths: RunPaths) -> str:
    """Return which conversations are longer than a row and what becomes of them, as a section; nothing if none is."""
    path = paths.plan.parent / "long.json"
    found: dict[str, Any] = artifacts.read_json(path) if path.is_file() else {"count": 0}
    if not found["count"]:
        return ""
    said = _w(
        f"long_{found['choice']}",
        count=f"{found['count']:,}",
        records=f"{found['records']:,}",
        context=str(found["context_length"]),
    )
    rows = [
        [html.escape(row["place"]), f"{row['tokens']:,}", f"{row['counted']:,}"] for row in found["shown"]
    ]
    shown = table([_w("place"), _w("tokens_of"), _w("counted")], rows)
    return f"<h2>{_w('long')}</h2><p>{said}</p><details><summary>{_w('place')}</summary>{shown}</details>"


def _preferences(paths: RunPaths) -> str:
    """Say what was learned from pairs of replies, if there were any."""
    path = paths.preferred / "evaluation.json"
    if not path.is_file():
        return ""
    found = artifacts.read_json(path)
    said = [_w("preferences_read", read=f"{found['read']:,}", pairs=f"{found['pairs']:,}")]
    if held := found.get("held_out"):
        shares = {key: f"{held[name]:.0%}" for key, name in _SHARES.items()}
        said.append(_w("preferences_held_out", count=f"{held['count']:,}", **shares))
    return f"<h2>{_w('preferences')}</h2>{''.join(f'<p>{line}</p>' for line in said)}"


#: What the sentence on held-out pairs calls their measures.
_SHARES = {"reward": "reward_accuracy", "after": "likelier_after", "before": "likelier_before"}


def curves(paths: RunPaths) -> str:
    """Return a drawing of loss against step for each phase that there was, as a section."""
    drawn = ""
    for stage in ("pretrain", "tune", "prefer"):
        path = paths.stage(stage) / "metrics.jsonl"
        if not path.is_file():
            continue
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        rows = [row for row in lines if "held_out" in row]
        if rows:
            drawn += f"<h3>{_w(stage)}</h3>{svg_of(partial(_draw_losses, rows), 3)}"
    return f"<h2>{_w('curves')}</h2>{drawn}"


def _draw_losses(rows: list[dict[str, Any]], axes: Any) -> None:
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["loss"] for row in rows], label="training", color="#9aa7b1")
    measured = [(row["step"], row["held_out"]) for row in rows if row["held_out"] is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), label="held out", color="#2b7a4b")
    axes.set_xlabel("step")
    axes.set_ylabel("nats per token")
    axes.legend(frameon=False)


def _samples(paths: RunPaths) -> str:
    rows = [
        [html.escape(s["prompt"]), html.escape(s["reply"]), html.escape(s["expected"])]
        for s in _evaluation(paths)["samples"]
    ]
    head = [_w("prompt"), _w("reply"), _w("expected")]
    return f"<h2>{_w('samples')}</h2>{_writing(paths)}{table(head, rows, words=3, kind='talk')}"


def _writing(paths: RunPaths) -> str:
    """Say how varied and how copied the samples of a model are that goes on with text."""
    found = _evaluation(paths).get("writing")
    if not found:
        return ""
    distinct = ", ".join(f"distinct-{n} {share:.2f}" for n, share in found["distinct"].items())
    said = _w(
        "writing",
        repetition=f"{found['repetition']:.0%}",
        distinct=distinct,
        copied=f"{found['copied']:.0%}",
        longest=str(found["longest"]),
    )
    return f"<p>{said}</p>"


def _plan(paths: RunPaths) -> str:
    parameters = _evaluation(paths)["parameters"]
    text = _w("parameters", count=f"{parameters:,}")
    return f"<h2>{_w('plan')}</h2><p>{text}</p>{reasons(paths)}"


def reasons(paths: RunPaths) -> str:
    """Return why the model and its steps were chosen, as a list."""
    plan = artifacts.read_json(paths.plan)
    return f"<ul>{''.join(f'<li>{html.escape(reason)}' for reason in plan['reasons'])}</ul>"


def timings_table(timings: dict[str, dict[str, Any]]) -> str:
    """Return how long each stage took and how much memory, as a section."""
    rows = []
    for name, timing in timings.items():
        memory = timing.get("peak_memory_bytes")
        shown = f"{memory / 2**20:,.0f} MiB" if memory else "n/a"
        rows.append([html.escape(name), f"{timing['seconds']:.1f} s", shown])
    total = sum(t["seconds"] for t in timings.values())
    rows.append([_w("total"), f"{total:.1f} s", ""])
    head = [_w("stage"), _w("time"), _w("memory")]
    return f"<h2>{_w('timings')}</h2>{table(head, rows)}"


def _again(paths: RunPaths) -> str:
    """Say how the run is made again."""
    sources = artifacts.read_json(paths.stage("collect") / SOURCES)["sources"]
    files = " ".join(sorted({shlex.quote(str(source["file"])) for source in sources})[:6])
    command = f"mynah build {files} --recipe {shlex.quote(str(paths.recipe))}"
    said = _w("again", command=command, seed=str(read_manifest(paths.stage("collect")).seed))
    return f"<h2>{_w('reproduce')}</h2><p>{said}</p>"
