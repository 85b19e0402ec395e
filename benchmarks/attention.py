"""Time of a dense and of a locally banded attention layer against context length, forward and backward.

    python benchmarks/attention.py [--contexts 256,512,1024,2048,4096] [--window 256] [--repeats 5] [--device cpu]

The layer is that of GPT-3 Small: 12 heads of 64 in a width of 768, over rows of one record, and over rows of records of
--record tokens that do not see each other (their mask is made before, as a model makes it once for all its layers); the
four take turns. The slope is the exponent of time over context from one length to the next: 1 is time in proportion, 2
the square.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import torch
from machine import describe

from mynah.model.attention import Attention, record_mask
from mynah.model.presets import preset


def seconds(layer: Attention, x: torch.Tensor, mask: torch.Tensor | None) -> float:
    """Run a layer forward and back; return the seconds it took."""
    begun = time.perf_counter()
    layer(x, None, mask, None, None).square().mean().backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contexts", default="256,512,1024,2048,4096")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--record", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    print(describe())
    print(
        f"one row, window {args.window}, records of {args.record} where they are apart; milliseconds, median of "
        f"{args.repeats} (least to most)\n"
    )
    names = ("dense", "banded", "dense, apart", "banded, apart")
    print(f"{'context':>8} " + " ".join(f"{name:>26} {'slope':>6}" for name in names))
    config = preset("gpt3-small", 2, windows=(0, args.window))
    layers = [Attention(config, layer).to(args.device) for layer in (0, 1)]
    before: tuple[int, list[float]] | None = None
    for context in (int(c) for c in args.contexts.split(",")):
        x = torch.randn(1, context, config.n_embd, device=args.device, requires_grad=True)
        segments = torch.arange(context, device=args.device)[None] // args.record
        masks = [record_mask(segments, layer.window, x.dtype) for layer in layers]
        ways = [*((layer, None) for layer in layers), *zip(layers, masks, strict=True)]
        for layer, mask in ways:
            seconds(layer, x, mask)
        taken: list[list[float]] = [[] for _ in ways]
        for _ in range(args.repeats):
            for times, (layer, mask) in zip(taken, ways, strict=True):
                times.append(1e3 * seconds(layer, x, mask))
        middles = [statistics.median(times) for times in taken]
        cells = [f"{context:>8}"]
        for n, (middle, times) in enumerate(zip(middles, taken, strict=True)):
            slope = ""
            if before is not None:
                slope = f"{math.log(middle / before[1][n]) / math.log(context / before[0]):.2f}"
            cells.append(f"{middle:10.1f} ({min(times):.1f} to {max(times):.1f})".rjust(26) + f" {slope:>6}")
        print(" ".join(cells), flush=True)
        before = context, middles


if __name__ == "__main__":
    main()
