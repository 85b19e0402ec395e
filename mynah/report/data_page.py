"""The data report as HTML: sections that stand alone or in the report of a build."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mynah.data.sources import Source
from mynah.report.data_words import say
from mynah.report.drawing import svg_of

#: Classes of a bar chart beyond these are left out.
MOST_BARS = 30


def sections(
    summary: Mapping[str, Any],
    sources: Sequence[Source],
    left_out: Sequence[tuple[str, str]],
    examples: Sequence[Mapping[str, Any]],
) -> str:
    """Return the body of the report.

    Args:
        summary: as `summarise` gives it.
        sources: what was read, if that is known.
        left_out: (name, reason) of files that were passed over.
        examples: as `mynah.data.summary.summary.examples` gives them.
    """
    return "".join(
        (
            _sources(sources, left_out),
            _records(summary),
            _account(summary["account"]),
            _before_after(summary.get("before_after", [])),
            _charts(summary),
            _examples(examples),
        )
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1, kind: str = "") -> str:
    """Return a table; cells are HTML, the first `words` columns are words and the rest figures."""

    def row(cells: Sequence[str], tag: str) -> str:
        marks = ["" if i < words else " class=n" for i in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{c}</{tag}>" for m, c in zip(marks, cells, strict=True))

    cells = row(head, "th") + "".join(row(r, "td") for r in rows)
    return f'<div class="table"><table class="{kind}">{cells}</table></div>'


def _sources(sources: Sequence[Source], left_out: Sequence[tuple[str, str]]) -> str:
    if not sources and not left_out:
        return ""
    told = [warning for source in sources for warning in source.describe_warnings()]
    warned = "".join(f"<li><strong>! {html.escape(warning)}</strong>" for warning in told[:40])
    shown = warned + "".join(f"<li>{html.escape(source.describe())}" for source in sources[:40])
    more = f"<li>… {len(sources) - 40:,}" if len(sources) > 40 else ""
    passed = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}" for name, reason in left_out[:40])
    out = f"<h3>{say('left_out')}</h3><ul>{passed}</ul>" if passed else ""
    return f"<h3>{say('sources')}</h3><ul>{shown}{more}</ul>{out}"


def _records(summary: Mapping[str, Any]) -> str:
    rows = [[say(kind), f"{count:,}"] for kind, count in summary["kinds"].items()]
    rows.append([say("characters"), f"{summary['characters']:,}"])
    if summary["replies"]["all"]:
        rows.append([say("replies"), f"{summary['replies']['all']:,}"])
        rows.append([say("distinct"), f"{summary['replies']['distinct']:,}"])
    return f"<h3>{say('records')}</h3>{table([say('what'), say('count')], rows)}"


def _account(account: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    rows = [
        [
            html.escape(stage),
            say(action),
            html.escape(step),
            "<br>".join(f"{html.escape(why)} ({n:,})" for why, n in _most(found["reasons"], 6) if why),
            html.escape(", ".join(found["examples"])),
            f"{found['count']:,}",
        ]
        for stage, actions in account.items()
        for action, steps in actions.items()
        for step, found in steps.items()
    ]
    if not rows:
        return ""
    head = ["", say("action"), say("step"), say("reason"), say("where"), say("count")]
    return f"<h3>{say('account')}</h3>{table(head, rows, words=5)}"


def _most(counts: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def _before_after(examples: Sequence[Mapping[str, Any]]) -> str:
    if not examples:
        return ""
    rows = [
        [html.escape(example["place"]), "<br>".join(map(html.escape, example["lines"]))]
        for example in examples[:12]
    ]
    shown = table([say("where"), ""], rows, words=2, kind="talk")
    return f"<details><summary>{say('before_after')}</summary>{shown}</details>"


def _charts(summary: Mapping[str, Any]) -> str:
    charts = [
        (say("lengths"), summary["lengths"]),
        (say("turns"), summary["turns"]),
        (say("languages"), summary["languages"]),
        (say("speakers", count=f"{summary['speakers']:,}"), summary["top_speakers"]),
        (say("labels"), summary["labels"]),
        (say("months"), summary["months"]),
        (say("duplicates"), summary["duplicates"]),
        (say("personal", count=f"{summary['personal_characters']:,}"), summary["personal"] or None),
    ]
    drawn = ""
    for title, counts in charts:
        if counts is None:
            drawn += f"<h3>{title}</h3><p>{say('nothing')}</p>"
        elif counts:
            drawn += f"<h3>{title}</h3>{bars(counts)}"
            drawn += (
                f"<p>{say('names_found')}</p>" if counts is summary["personal"] and "name" in counts else ""
            )
    return drawn


def bars(counts: Mapping[str, int]) -> str:
    """Return counts as a horizontal bar chart, inline SVG."""
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in list(counts)[:MOST_BARS]]
    values = list(counts.values())[:MOST_BARS]

    def draw(axes: Any) -> None:
        drawn = axes.barh(range(len(names)), values, color="#2b7a4b", height=0.7)
        # Names come from the data: without this a lone $ would be read as mathematics.
        axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
        axes.bar_label(drawn, [f"{value:,}" for value in values], padding=4, fontsize=8)
        axes.invert_yaxis()
        axes.set_xticks([])
        axes.set_xlim(0, max(1, *values) * 1.15)
        axes.spines["bottom"].set_visible(False)

    return svg_of(draw, 0.5 + 0.26 * len(names))


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    if not examples:
        return ""
    rows = [
        [
            html.escape(example["place"]),
            "<br>".join(f"<b>{html.escape(t['who'])}</b> {html.escape(t['text'])}" for t in example["turns"]),
        ]
        for example in examples
    ]
    shown = table([say("where"), ""], rows, words=2, kind="talk")
    return f"<details><summary>{say('examples')}</summary>{shown}</details>"
