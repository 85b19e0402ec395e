"""A page that explains what a model said: self-contained, to be looked at and not read."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

from mynah.report.data_page import table
from mynah.report.data_words import bilingual
from mynah.report.explain_words import EXPLAIN_WORDS
from mynah.report.style import report_page

STYLE = """<style>
.text{line-height:2.1;font-family:ui-monospace,"Noto Sans Mono CJK SC",monospace;font-size:.95rem;
overflow-wrap:anywhere}
.text span{padding:.15rem .1rem;border-radius:.2rem;white-space:pre-wrap;cursor:default}
.text .given{opacity:.65}
.text .here{outline:2px solid currentColor}
.heat td,.heat th{padding:0;border:0;text-align:center;font-size:.7rem;min-width:1.7rem;height:1.5rem}
.heat th{color:#777;font-weight:400;padding-right:.4rem}
.heat.tall th{writing-mode:vertical-rl;transform:rotate(180deg);padding:.3rem 0;white-space:pre}
.heat.tall th:first-child{writing-mode:horizontal-tb;transform:none}
.bar{display:grid;grid-template-columns:minmax(6rem,14rem) 1fr 4rem;gap:.6rem;align-items:center;margin:.15rem 0}
.bar i{display:block;height:.9rem;border-radius:.2rem;background:#2b7a4b}
.bar i.minus{background:#b4552d}
.bar span{overflow:hidden;text-overflow:ellipsis;white-space:pre}
canvas{image-rendering:pixelated;max-width:100%;border:1px solid #ddd}
select{font:inherit}
</style>"""

#: Draws the row, or the pattern, of the head that is chosen.
SCRIPT = """<script>
const data=JSON.parse(document.getElementById('attention-data').textContent);
const layer=document.getElementById('layer'),head=document.getElementById('head');
function row(){
  const l=layer.value;
  if(l==='all')return data.rollout;
  const heads=data.row[+l];
  if(head.value!=='mean')return heads[+head.value];
  return heads[0].map((_,t)=>heads.reduce((sum,h)=>sum+h[t],0)/heads.length);
}
function draw(){
  head.disabled=layer.value==='all';
  const values=row(),most=Math.max(...values,1e-9);
  document.querySelectorAll('#looked span').forEach((span,t)=>{
    span.style.background=t<values.length?`rgba(43,122,75,${(values[t]/most).toFixed(3)})`:'none';
    span.title=t<values.length?(100*values[t]).toFixed(1)+' %':'';
  });
  const canvas=document.getElementById('pattern');
  if(!data.patterns||layer.value==='all'){canvas.hidden=true;return}
  const heads=data.patterns[+layer.value],T=heads[0].length,scale=Math.max(2,Math.floor(420/T));
  canvas.hidden=false;canvas.width=canvas.height=T*scale;
  const context=canvas.getContext('2d');
  for(let q=0;q<T;q++)for(let k=0;k<=q;k++){
    const v=head.value==='mean'?heads.reduce((sum,h)=>sum+h[q][k],0)/heads.length:heads[+head.value][q][k];
    context.fillStyle=`rgba(43,122,75,${(v/255).toFixed(3)})`;
    context.fillRect(k*scale,q*scale,scale,scale);
  }
}
layer.onchange=head.onchange=draw;draw();
</script>"""


def explain_page(found: dict[str, Any]) -> str:
    """Return the page of what `mynah.pipeline.explain_run.explain` found."""
    sections = [
        STYLE,
        _answer(found.get("answer")),
        _tokens(found),
        f"<h2>{_w('why', token=found['target']['text'])}</h2>",
        _alternatives(found),
        _integrated(found),
        _left_out(found),
        _contributions(found),
        _lens(found),
        _patching(found),
        _attention(found),
        _examples(found.get("examples")),
    ]
    return report_page(found["run"], sections)


def _w(key: str, **values: Any) -> str:
    return bilingual(EXPLAIN_WORDS[key], **values)


def _tint(value: float, most: float) -> str:
    """Return a background: green above 0, red below it."""
    share = min(1.0, abs(value) / most) if most > 0 else 0.0
    color = "43,122,75" if value >= 0 else "180,85,45"
    return f"background:rgba({color},{share:.3f})"


def _text(
    tokens: Sequence[str], styles: Sequence[str], titles: Sequence[str], given: int = 0, here: int = -1
) -> str:
    spans = []
    for n, (token, style, title) in enumerate(zip(tokens, styles, titles, strict=True)):
        marks = " ".join(name for name, on in (("given", n < given), ("here", n == here)) if on)
        shown = html.escape(token)
        spans.append(f'<span class="{marks}" style="{style}" title="{html.escape(title)}">{shown}</span>')
    return f'<p class="text">{"".join(spans)}</p>'


def _tokens(found: dict[str, Any]) -> str:
    tokens = found["tokens"]
    styles, titles = [], []
    for token in tokens:
        styles.append(_tint(-token["bits"], 12.0))
        expected = ", ".join(
            f"{one['text']!r} {2.718281828 ** one['log_prob']:.0%}" for one in token["expected"]
        )
        counted = f"; n-gram {token['ngram_bits']:.1f}" if token["ngram_bits"] is not None else ""
        titles.append(f"{token['bits']:.1f} bits{counted}; {expected}" if token["expected"] else "")
    shown = _text([token["text"] for token in tokens], styles, titles, found["prompt"], found["at"])
    return f"<h2>{_w('tokens')}</h2><p><small>{_w('tokens_note')}</small></p>{shown}"


def _bars(rows: Sequence[tuple[str, float, str]]) -> str:
    most = max((abs(value) for _, value, _ in rows), default=0.0) or 1.0
    return "".join(
        f'<div class="bar"><span>{html.escape(name)}</span><i class="{"minus" if value < 0 else ""}" '
        f'style="width:{100 * abs(value) / most:.1f}%"></i><span>{html.escape(shown)}</span></div>'
        for name, value, shown in rows
    )


def _alternatives(found: dict[str, Any]) -> str:
    rows = []
    for one in found["alternatives"]:
        share = 2.718281828 ** one["log_prob"]
        rows.append((one["text"], share, f"{share:.1%}"))
    return f"<h3>{_w('alternatives')}</h3>{_bars(rows)}"


def _integrated(found: dict[str, Any]) -> str:
    whole = found["integrated_gradients"]
    values = whole["tokens"]
    most = max(map(abs, values), default=0.0)
    texts = [token["text"] for token in found["tokens"][: len(values)]]
    shown = _text(texts, [_tint(value, most) for value in values], [f"{value:+.3f}" for value in values])
    note = _w(
        "integrated_note",
        difference=f"{whole['difference']:+.2f}",
        missing=f"{whole['missing']:.1%}",
        steps=whole["steps"],
    )
    return f"<h3>{_w('integrated')}</h3><p><small>{note}</small></p>{shown}"


def _left_out(found: dict[str, Any]) -> str:
    parts = sorted(found["left_out"], key=lambda part: -abs(part["nats"]))[:12]
    rows = [(part["text"], part["nats"], f"{part['nats']:+.2f}") for part in parts]
    return f"<h3>{_w('left_out')}</h3><p><small>{_w('left_out_note')}</small></p>{_bars(rows)}"


def _heat(
    head: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]], most: float, kind: str = ""
) -> str:
    def cells(values: Sequence[float]) -> str:
        return "".join(f'<td style="{_tint(v, most)}" title="{v:+.3f}"></td>' for v in values)

    top = "".join(f"<th>{html.escape(name)}</th>" for name in ("", *head))
    body = "".join(f"<tr><th>{html.escape(name)}</th>{cells(values)}</tr>" for name, values in rows)
    return f'<div class="table"><table class="heat {kind}"><tr>{top}</tr>{body}</table></div>'


def _contributions(found: dict[str, Any]) -> str:
    parts = found["contributions"]
    rows = [
        (str(layer + 1), [*heads, mlp])
        for layer, (heads, mlp) in enumerate(zip(parts["heads"], parts["mlps"], strict=True))
    ]
    sizes = sorted(abs(value) for _, values in rows for value in values)
    most = sizes[int(0.97 * (len(sizes) - 1))]  # one MLP is often many times as large as all else
    head = [*(str(n + 1) for n in range(len(parts["heads"][0]))), "MLP"]
    note = _w(
        "contributions_note",
        total=f"{parts['total']:.2f}",
        embedding=f"{parts['embedding'] + parts['pairs']:+.2f}",
        biases=f"{parts['biases']:+.2f}",
    )
    return f"<h3>{_w('contributions')}</h3><p><small>{note}</small></p>{_heat(head, rows[::-1], most)}"


def _lens(found: dict[str, Any]) -> str:
    rows = []
    for layer, row in enumerate(found["lens"]):
        shown = [
            f"{html.escape(one['text'])} <small>{2.718281828 ** one['log_prob']:.0%}</small>" for one in row
        ]
        rows.append([str(layer), *shown])
    head = [_w("layer"), *[""] * (len(rows[0]) - 1)]
    return f"<h3>{_w('lens')}</h3><p><small>{_w('lens_note')}</small></p>{table(head, rows[::-1], words=9)}"


def _patching(found: dict[str, Any]) -> str:
    states = found.get("patching")
    if not states:
        return ""
    rows = [(str(layer), values) for layer, values in enumerate(states["restored"])]
    note = _w("patching_note", instead=states["instead"], token=found["target"]["text"])
    drawn = _heat(states["tokens"], rows[::-1], 1.0, "tall")
    return f"<h3>{_w('patching')}</h3><p><small>{note}</small></p>{drawn}"


def _attention(found: dict[str, Any]) -> str:
    attention = found["attention"]
    layers = "".join(f'<option value="{n}">{n + 1}</option>' for n in reversed(range(len(attention["row"]))))
    heads = "".join(f'<option value="{n}">{n + 1}</option>' for n in range(len(attention["row"][0])))
    texts = [token["text"] for token in found["tokens"]]
    shown = _text(texts, [""] * len(texts), [""] * len(texts)).replace("<p ", '<p id="looked" ', 1)
    # An option holds one language: the word of English stands in both.
    every = html.escape(EXPLAIN_WORDS["rollout"][0])
    data = json.dumps(attention).replace("<", "\\u003c")
    return (
        f"<h3>{_w('attention')}</h3><p><small>{_w('attention_note')}</small></p>"
        f'<p><label>{_w("layer")} <select id="layer"><option value="all">{every}</option>{layers}</select></label> '
        f'<label>{_w("head")} <select id="head"><option value="mean">{EXPLAIN_WORDS["mean"][0]}</option>{heads}'
        f"</select></label></p>{shown}<canvas id=pattern hidden></canvas>"
        f'<script type="application/json" id="attention-data">{data}</script>{SCRIPT}'
    )


def _examples(examples: Sequence[dict[str, Any]] | None) -> str:
    if not examples:
        return ""
    rows = [
        [
            html.escape(one["place"]),
            html.escape(one["text"][:600]),
            f"{one['words']:.2f}",
            f"{one['gradient']:+.2f}" if one["gradient"] is not None else "",
        ]
        for one in examples
    ]
    head = [_w("place"), _w("text"), _w("words"), _w("gradient")]
    shown = table(head, rows, words=2, kind="talk")
    return f"<h2>{_w('examples')}</h2><p><small>{_w('examples_note')}</small></p>{shown}"


def _answer(answer: dict[str, Any] | None) -> str:
    if not answer:
        return ""
    reply, why = answer["reply"], answer["reasons"]
    said = f'<p class="verdict{" bad" if reply["handed_over"] else ""}">{html.escape(reply["text"])}</p>'
    if why is None:
        return f"<h2>{_w('answer')}</h2>{said}"
    note = _w(
        "answer_note",
        reply=why["reply"],
        place=why["place"],
        confidence=f"{why['confidence']:.1%}",
        threshold=f"{why['threshold']:.1%}",
    )
    shown = f"<p>{note}</p>"
    if why["next_reply"] is not None:
        told = _w("next_note", reply=why["next_reply"], place=why["next_place"])
        shown += f"<p>{told}</p>{_reasons(why['ranked_by'])}"
    shown += f"<details><summary>{_w('judged_note')}</summary>{_reasons(why['judged_by'])}</details>"
    return f"<h2>{_w('answer')}</h2>{said}{shown}"


def _reasons(reasons: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            html.escape(reason["name"]),
            f"{reason['chosen']:.2f}",
            f"{reason['next']:.2f}" if reason["next"] is not None else "",
            f"{reason['odds']:+.2f}",
        ]
        for reason in reasons[:8]
    ]
    return table([_w("reason"), _w("this"), _w("other"), _w("odds")], rows)
