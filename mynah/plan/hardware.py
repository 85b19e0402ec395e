"""Accelerators that training can be planned for, by their makers' data sheets.

Dense products in bfloat16 (V100 and T4: float16), TFLOP a second; memory, GB; its bandwidth, GB a second.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mynah.errors import ConfigError

#: Share of a data sheet's products that training of a large model reaches: 0.38 to 0.43 is what Llama 3's makers tell
#: of 8,192 to 16,384 H100s (Grattafiori et al. 2024, table 4).
UTILISATION = 0.4


@dataclass(frozen=True)
class Accelerator:
    """What a data sheet says."""

    name: str
    tflops: float
    memory_gb: float
    bandwidth_gb: float


#: By NVIDIA's data sheet of each.
ACCELERATORS = (
    Accelerator("t4", 65, 16, 320),
    Accelerator("v100", 125, 32, 900),
    Accelerator("rtx3090", 71, 24, 936),
    Accelerator("rtx4090", 165, 24, 1008),
    Accelerator("a10g", 70, 24, 600),
    Accelerator("l4", 121, 24, 300),
    Accelerator("l40s", 362, 48, 864),
    Accelerator("a100-40gb", 312, 40, 1555),
    Accelerator("a100-80gb", 312, 80, 2039),
    Accelerator("h100", 989, 80, 3350),
    Accelerator("h200", 989, 141, 4800),
    Accelerator("b200", 2250, 180, 8000),
)


def accelerator(name: str) -> Accelerator:
    """Return an accelerator by its name.

    Raises:
        ConfigError: if it is not in the table (the nearest is suggested).
    """
    known = {one.name: one for one in ACCELERATORS}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"no accelerator {name!r}; {hint}known: here, {', '.join(known)}")
    return known[name]
