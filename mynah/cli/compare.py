"""`mynah compare`."""

from __future__ import annotations

import json
import sys
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from mynah.errors import ConfigError, MynahError

if TYPE_CHECKING:
    from mynah.evaluate.side_by_side import Judged

_SCORES = {"1": 1.0, "2": 0.0, "=": 0.5}


def compare(
    *runs: str,
    prompts: Path | None = None,
    count: int = 20,
    keep: Path | None = None,
    judge: str | None = None,
    judge_model: str = "judge",
    device: str = "auto",
) -> None:
    """Judge replies of two models or more side by side, without seeing whose they are; tell which is the stronger.

    For each prompt two replies are shown, in an order that chance decides: type 1 or 2 for the better one, = if they
    are alike, q to end. Strengths are Elo's points by Bradley and Terry, with 95 % intervals.

    Parameters
    ----------
    runs: str
        Runs, Hugging Face directories, names of bases.
    prompts: Path
        A file with a prompt a line; default: what users began with in the first run's held-out part.
    count: int
        Prompts, at most.
    keep: Path
        A file that judgements are added to, and those there count: what was judged is not asked again.
    judge: str
        Let a model behind OpenAI's interface judge, such as http://127.0.0.1:8080/v1; prompts and replies are sent
        there. A key is taken from MYNAH_JUDGE_KEY.
    judge_model: str
        Its name there.
    device: str
        auto, cpu, cuda or mps.
    """
    from mynah import artifacts
    from mynah.evaluate.side_by_side import Judged, in_which_order, read_judged
    from mynah.pipeline import side_by_side

    if count < 1:
        raise ConfigError(f"--count {count}: expected 1 or more")
    names = side_by_side.names_of(runs)
    if judge is not None:
        side_by_side.check_judge(judge)
    asked = side_by_side.prompts_for(names[0], prompts, count)
    judged = read_judged(keep) if keep is not None else []
    done = {(one.prompt, one.first, one.second) for one in judged}
    speakers = {name: side_by_side.Speaker(name, device) for name in names}
    score_of = side_by_side.judge(judge, judge_model) if judge is not None else None
    for prompt, (first, second) in ((prompt, pair) for prompt in asked for pair in combinations(names, 2)):
        if (prompt, first, second) in done:
            continue
        replies = speakers[first].reply(prompt), speakers[second].reply(prompt)
        if replies[0] == replies[1]:
            score: float | None = 0.5
        elif score_of is not None:
            score = score_of(prompt, *replies)
        else:
            turned = in_which_order(prompt, first, second)
            score = _ask(prompt, replies[::-1] if turned else replies)
            score = 1 - score if turned and score is not None else score
        if score is None:
            break
        judged.append(Judged(prompt, first, second, score))
        if keep is not None:
            line = json.dumps(judged[-1].to_json(), ensure_ascii=False) + "\n"
            artifacts.append(keep, line.encode("utf-8", "replace"))
    _tell(judged)


def _ask(prompt: str, replies: tuple[str, ...]) -> float | None:
    """Show two replies and return 1 for the first, 0 for the second, 0.5 for neither; None: no more."""
    print(f"\n> {prompt}")
    for number, reply in enumerate(replies, start=1):
        print(f"  {number}: {reply}")
    while True:
        try:
            typed = input("1, 2, = or q: " if sys.stdin.isatty() else "").strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if typed in _SCORES:
            return _SCORES[typed]
        if typed in ("q", "/quit", "/exit"):
            return None
        if not sys.stdin.isatty():  # whoever pipes something else in is not there to type it anew
            raise MynahError(f"standard input: {len(typed)} characters where 1, 2, = or q was expected")
        print("type 1, 2, = or q", file=sys.stderr)


def _tell(judged: list[Judged]) -> None:
    from mynah.evaluate.side_by_side import strengths

    if not judged:
        print("nothing was judged")
        return
    print()
    for name, one in strengths(judged).items():
        print(
            f"{name:<32} {one.elo:6.0f}   95 %: {one.low:.0f} to {one.high:.0f}   of {one.judged} judgements"
        )
