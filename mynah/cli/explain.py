"""`mynah explain`."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mynah.errors import ConfigError


def explain(
    run: Path,
    text: str,
    *,
    reply: str | None = None,
    at: int | None = None,
    against: str | None = None,
    examples: int = 5,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    device: str = "auto",
) -> None:
    """Explain why a model says what it says: token by token, and one token in depth.

    Told are: how surprised it was by each token, beside the n-gram model of its text; for one token what else might
    have stood there, which words it hangs on (integrated gradients, and by leaving each out), what every head and MLP
    adds to it, what each layer would have said, what it looks at, and which examples that it has learned are nearest;
    of a run that answers from its log also why this reply and not the next.

    Parameters
    ----------
    run: Path
        A run, a Hugging Face directory, or the name of a base.
    text: str
        What is asked; of a model that replies to nothing, the text that it goes on with.
    reply: str
        What was replied; by default what the network replies.
    at: int
        Which token of the reply is explained, from 1; of a text, which of its own. Default: the first of the reply, the
        next one of a text.
    against: str
        Another text of as many tokens that brings another token: where that is decided is found by exchanging states.
    examples: int
        The nearest examples of what was learned; 0: none.
    output: Path
        A page, .html, self-contained; or .json.
    json: bool
        Print everything as JSON.
    device: str
        auto, cpu, cuda or mps.
    """
    from rich.console import Console

    from mynah import artifacts
    from mynah.pipeline.explain_run import Asked
    from mynah.pipeline.explain_run import explain as look

    if examples < 0:
        raise ConfigError(f"--examples {examples}: expected 0 or more")
    if output is not None and output.suffix not in (".html", ".json"):
        raise ConfigError(f"-o {output}: expected a name that ends in .html or .json")
    with Console(stderr=True).status("opening") as status:
        told = status.update if sys.stderr.isatty() else lambda what: None
        found = look(run, Asked(text, reply, at, against, examples), device, told)
    if output is not None:
        if output.suffix == ".html":
            from mynah.report.explain_page import explain_page

            artifacts.write_text(output, explain_page(found))
        else:
            artifacts.write_json(output, found)
    if json:
        import json as json_

        print(json_.dumps(found, ensure_ascii=False))
        return
    _show(found)
    if output is not None:
        print(f"page       {output}" if output.suffix == ".html" else f"figures    {output}")


def _show(found: dict[str, Any]) -> None:
    print("token                      bits   n-gram  expected")
    for token in found["tokens"][found["prompt"] :] or found["tokens"][-24:]:
        counted = "" if token["ngram_bits"] is None else f"{token['ngram_bits']:.1f}"
        expected = ", ".join(
            f"{one['text']!r} {math.exp(one['log_prob']):.0%}" for one in token["expected"][:3]
        )
        print(f"{token['text']!r:24} {token['bits']:6.1f} {counted:>8}  {expected}")
    target = found["target"]["text"]
    print(f"\nwhy {target!r}?")
    others = ", ".join(f"{one['text']!r} {math.exp(one['log_prob']):.1%}" for one in found["alternatives"])
    print(f"  instead: {others}")
    parts = sorted(found["left_out"], key=lambda part: -abs(part["nats"]))[:6]
    print("  without: " + ", ".join(f"{part['text']!r} {part['nats']:+.2f} nats" for part in parts))
    whole = found["integrated_gradients"]
    ranked = sorted(range(len(whole["tokens"])), key=lambda n: -abs(whole["tokens"][n]))[:6]
    print(
        "  by gradients: "
        + ", ".join(f"{found['tokens'][n]['text']!r} {whole['tokens'][n]:+.2f}" for n in ranked)
        + f" (complete but for {whole['missing']:.1%})"
    )
    adds = found["contributions"]
    named = [
        (f"head {layer + 1}.{head + 1}", value)
        for layer, heads in enumerate(adds["heads"])
        for head, value in enumerate(heads)
    ] + [(f"MLP {layer + 1}", value) for layer, value in enumerate(adds["mlps"])]
    named.sort(key=lambda row: -abs(row[1]))
    largest = ", ".join(f"{name} {value:+.2f}" for name, value in named[:6])
    print(f"  parts: {largest}; in all {adds['total']:.2f}")
    print("  by layer: " + " > ".join(repr(row[0]["text"]) for row in found["lens"]))
    if found.get("answer") and (why := found["answer"]["reasons"]):
        print(f"\nthe bot: {found['answer']['reply']['text']}")
        print(f"  {why['place']}, right with {why['confidence']:.0%} (said from {why['threshold']:.0%} on)")
        if why["next_reply"] is not None:
            told = ", ".join(f"{one['name']} {one['odds']:+.2f}" for one in why["ranked_by"][:5])
            print(f"  rather than {why['next_place']}: {told}")
    for example in found.get("examples") or ():
        first = " / ".join(example["text"].split("\n"))[:90]
        print(f"\n{example['place']}: {first}")
        print(f"  alike in words {example['words']:.2f}, by gradient {example['gradient']:+.2f}")
