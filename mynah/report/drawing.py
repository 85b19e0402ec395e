"""Charts as SVG inside a page; nothing of matplotlib is set for others, and no window system is asked for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any


def svg_of(draw: Callable[[Any], None], height: float, width: float = 7.5) -> str:
    """Return a chart as an SVG element; equal calls give equal bytes.

    Args:
        draw: draws on the `matplotlib.axes.Axes` that it is given.
        height: inches.
        width: inches.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "mynah"}), warnings.catch_warnings():
        # Text stays text: the browser has the characters that the font here has not.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(width, height))
        axes = figure.subplots()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]
