"""The first screen of a run's report: what it can answer, whether it beats simple things, what to do next."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mynah import artifacts
from mynah.diagnose.findings import Finding
from mynah.report.data_words import bilingual
from mynah.report.drawing import svg_of
from mynah.report.words import FIRST
from mynah.stages import RunPaths

#: Findings that stand on the first screen; the others are folded.
MOST_FINDINGS = 3
GREEN, GREY, RED = "#2b7a4b", "#9aa7b1", "#b4552d"


def first_screen(paths: RunPaths) -> str:
    """Return the three sections that answer what a person asks first."""
    evaluation: dict[str, Any] = artifacts.read_json(paths.evaluation)
    cards = [_answers(paths, evaluation), _better(evaluation), next_steps(paths)]
    return f'<div class="first">{"".join(f"<section>{card}</section>" for card in cards)}</div>'


def _w(key: str, **values: Any) -> str:
    return bilingual(FIRST[key], **values)


def _answers(paths: RunPaths, evaluation: Mapping[str, Any]) -> str:
    """Say what can be answered and how surely, with coverage against accuracy."""
    path = paths.answers / "answers.json"
    about: dict[str, Any] = artifacts.read_json(path) if path.is_file() else {}
    if not about.get("sure"):
        # Nothing is answered from a log: what can be said is how well it foresees text.
        measured = evaluation.get("chat") or evaluation["base"]
        right = (measured["replies"] or measured["all"] or evaluation["base"]["all"])["accuracy"]
        drawn = svg_of(partial(_draw_shares, [("next_token", right)]), 1.0, 4)
        told = _w("never_sure") if about else ""
        return f"<h2>{_w('answers')}</h2><p>{told} {_w('writes', right=f'{right:.0%}')}</p>{drawn}"
    point = next(p for p in about["curve"] if p["from"] >= about["threshold"])
    told = _w(
        "answered",
        answered=f"{point['answered']:.0%}",
        count=f"{about['held_out']:,}",
        right=f"{1 - point['wrong']:.1%}",
        silent=f"{1 - point['let_in']:.0%}",
        outside=f"{about['outside']:,}",
    )
    drawn = svg_of(partial(_draw_coverage, about["curve"], point), 2.6, 4)
    return f"<h2>{_w('answers')}</h2><p>{told}</p>{drawn}<p><small>{_w('coverage_note')}</small></p>"


def _draw_coverage(curve: Sequence[Mapping[str, float]], point: Mapping[str, float], axes: Any) -> None:
    axes.plot([100 * p["answered"] for p in curve], [100 * (1 - p["wrong"]) for p in curve], color=GREEN)
    axes.plot([100 * point["answered"]], [100 * (1 - point["wrong"])], "o", color=GREEN, markersize=9)
    axes.set_xlim(0, 102)
    axes.set_xlabel("% of held-out questions answered")
    axes.set_ylabel("% of these right")
    axes.grid(alpha=0.25)


def _better(evaluation: Mapping[str, Any]) -> str:
    """Say whether the network is better than counting, looking up and its base, with bars."""
    verdict = evaluation["verdict"]
    part = "replies" if evaluation.get("chat") and evaluation["chat"].get("replies") else "all"
    rows = []
    for key in ("ngram", "untouched", "base", "chat"):
        score = (evaluation.get(key) or {}).get(part)
        if score:
            # Of an open base that goes to the replies as it came, that is what stands under "base".
            name = "untouched" if key == "base" and verdict.get("on") == "replies" else key
            rows.append((name, score["bpb"]))
    own, ngram = rows[-1][1], rows[0][1]
    key = "better" if own < ngram else "no_better"
    said = _w(key, network=f"{own:.3f}", ngram=f"{ngram:.3f}", order=evaluation["ngram"]["order"])
    questions = evaluation.get("questions")
    if questions and questions["lookup_accuracy"] is not None:
        said += " " + _w(
            "lookup",
            count=f"{questions['count']:,}",
            network=f"{questions['accuracy']:.0%}",
            lookup=f"{questions['lookup_accuracy']:.0%}",
        )
    drawn = svg_of(partial(_draw_bars, rows), 0.8 + 0.4 * len(rows), 4)
    names = ", ".join(_w(f"bar_{name}") for name, _ in rows)
    return f"<h2>{_w('simple')}</h2><p>{said}</p>{drawn}<p><small>{_w('bars_note')} {names}.</small></p>"


def _draw_bars(rows: Sequence[tuple[str, float]], axes: Any) -> None:
    best = min(value for _, value in rows)
    names = {"ngram": "n-gram", "untouched": "base as it came", "base": "pretrained", "chat": "this model"}
    colors = [GREEN if value == best else GREY for _, value in rows]
    axes.barh(range(len(rows)), [value for _, value in rows], color=colors, height=0.6)
    for place, (_, value) in enumerate(rows):
        axes.text(value, place, f" {value:.3f}", va="center")
    axes.set_yticks(range(len(rows)), [names[name] for name, _ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(value for _, value in rows))
    axes.set_xlabel("bits a byte, less is better")


def _draw_shares(rows: Sequence[tuple[str, float]], axes: Any) -> None:
    axes.barh(range(len(rows)), [100 * value for _, value in rows], color=GREEN, height=0.5)
    axes.set_xlim(0, 100)
    axes.set_yticks([])
    axes.set_xlabel("% of tokens foreseen")


def findings_of(paths: RunPaths) -> list[Finding]:
    """Return what was found wrong with a run."""
    path = paths.findings
    found = artifacts.read_json(path) if path.is_file() else []
    return [Finding(one["name"], one["values"], one["where"], tuple(one["places"])) for one in found]


def next_steps(paths: RunPaths) -> str:
    """Say what is wrong and what to do next; how grave, as a row of lights."""
    found = findings_of(paths)
    if not found:
        return f"<h2>{_w('next')}</h2><p>{_w('nothing_wrong')}</p>{_lights(0)}"
    first = "".join(map(_finding, found[:MOST_FINDINGS]))
    rest = "".join(map(_finding, found[MOST_FINDINGS:]))
    more = f"<details><summary>{_w('more', count=len(found) - MOST_FINDINGS)}</summary>{rest}</details>"
    return f"<h2>{_w('next')}</h2>{_lights(len(found))}{first}{more if rest else ''}"


def _finding(finding: Finding) -> str:
    what = _both(finding.what("en"), finding.what("zh"))
    step = _both(finding.next("en"), finding.next("zh"))
    places = "".join(f"<li>{html.escape(place)}" for place in finding.places)
    where = f"<details><summary>{_w('places')}</summary><ul>{places}</ul></details>" if places else ""
    return f'<p class="finding">{what}<br><strong>{step}</strong></p>{where}'


def _both(english: str, chinese: str) -> str:
    return bilingual(("{text}", "{other}"), text=english, other=chinese)


def _lights(count: int) -> str:
    """Return a row of lights, one for each fault that is looked for."""
    from mynah.diagnose.words import WORDS

    lit = "".join(
        f'<circle cx="{12 + 20 * n}" cy="12" r="7" fill="{RED if n < count else GREEN}"/>'
        for n in range(len(WORDS))
    )
    return f'<svg class="lights" viewBox="0 0 {20 * len(WORDS) + 4} 24" role="img" aria-label="{count}">{lit}</svg>'
