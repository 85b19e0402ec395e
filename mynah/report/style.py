"""How reports look: one self-contained page, light or dark, English or Chinese at the press of a button."""

from __future__ import annotations

import html
from collections.abc import Sequence

from mynah import __version__

STYLE = """
body{font:16px/1.55 system-ui,"Noto Sans CJK SC",sans-serif;max-width:62rem;margin:2rem auto;
padding:0 1rem;color:#1d2327;background:#fff}
h1{font-size:1.7rem}
h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #eee}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.verdict{padding:.8rem 1rem;border-left:4px solid #2b7a4b;background:#f0f7f2}
.verdict.bad{border-color:#b4552d;background:#fbf3ee}
.talk td{white-space:pre-wrap}
.first{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(18rem,100%),1fr));gap:1rem}
.first section{border:1px solid #ddd;border-radius:.5rem;padding:.2rem 1rem .8rem}
.first h2{margin-top:.8rem;border:0;font-size:1.1rem}
.finding{border-left:4px solid #b4552d;padding-left:.8rem;overflow-wrap:anywhere}
.lights{width:16rem;background:none}
summary{cursor:pointer}
.table{overflow-x:auto}
small{color:#666}
svg{max-width:100%;height:auto}
body.zh .en,body:not(.zh) .zh{display:none}
button{float:right}
@media(prefers-color-scheme:dark){
body{color:#ddd;background:#181a1b}
td,th{border-color:#333}
.verdict{background:#1c2a21}
.first section{border-color:#333}
svg.lights{background:none}
.verdict.bad{background:#2e211a}
svg{background:#fff}
}
"""
SWITCH = "document.body.classList.toggle('zh')"


def page(title: str, body: str) -> str:
    """Return a whole page; `title` and `body` are HTML."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Mynah: {title}</title>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<style>{STYLE}</style><body><button onclick="{SWITCH}">English / 中文</button>{body}</body></html>\n'
    )


def report_page(name: str, sections: Sequence[str]) -> str:
    """Return the page of a run.

    Args:
        name: of the run, as plain text.
        sections: HTML.
    """
    title = html.escape(name)
    return page(title, f"<h1>{title}</h1>{''.join(sections)}<p><small>Mynah {__version__}</small></p>")
