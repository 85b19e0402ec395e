"""What a bot over a sample log answers: hand-written questions that its log holds, that it does not, and small talk.

    mynah build --sample en --minutes 5 --name shop
    python benchmarks/answers.py runs/shop --language en

The questions (samples/asked_*.jsonl) were written by people who knew the topics and facts of the shop and had not seen
the wording of its log. Those of the part "choose" were looked at while this was built; those of the part "report" were
only counted. Right means that all facts of a topic that was asked for are in the reply.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tomllib
from pathlib import Path

from machine import describe

from mynah.answers.bot import Answerer, Reply
from mynah.answers.measure import reply_to_each
from mynah.evaluate.replies import Question, holds_facts, read_questions
from mynah.pipeline.open_answers import open_answers
from mynah.pipeline.open_run import open_run

ROOT = Path(__file__).parents[1]


def read(language: str, part: str) -> list[dict]:
    lines = (ROOT / "samples" / f"asked_{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [value for value in map(json.loads, lines) if value["part"] == part]


def facts_of(language: str) -> dict[str, tuple[str, ...]]:
    with (ROOT / "samples" / f"shop_{language}.toml").open("rb") as file:
        return {intent["name"]: tuple(intent["facts"]) for intent in tomllib.load(file)["intent"]}


def states(reply: Reply) -> bool:
    return reply.kind in ("log", "network")


def share(values: list[bool]) -> str:
    return f"{sum(values) / len(values):6.1%} of {len(values)}" if values else "none"


def tell(answerer: Answerer, language: str, part: str, show: bool) -> None:
    asked, facts = read(language, part), facts_of(language)
    questions = [Question(q["question"], (), q["kind"], "", tuple(q.get("history", ()))) for q in asked]
    both = list(zip(asked, reply_to_each(answerer, questions), strict=True))

    def right(q: dict, reply: Reply) -> bool:
        return any(holds_facts(reply.text, facts[intent]) for intent in q["intents"])

    known = [(q, r) for q, r in both if q["kind"] == "answerable"]
    print(f"part {part}")
    print(f"  answerable: answered {share([states(r) for _, r in known])}")
    print(f"    of these right {share([right(q, r) for q, r in known if states(r)])}")
    first = [(q, r) for q, r in known if "history" not in q]
    second = [(q, r) for q, r in known if "history" in q]
    for name, some in (("first turns", first), ("second turns", second)):
        print(f"    {name}: answered and right {share([states(r) and right(q, r) for q, r in some])},")
        print(f"      of what is stated right {share([right(q, r) for q, r in some if states(r)])}")
    for way in dict.fromkeys(q["way"] for q, _ in known):
        some = [(q, r) for q, r in known if q["way"] == way]
        stated = [right(q, r) for q, r in some if states(r)]
        print(f"      {way:9} answered {share([states(r) for _, r in some])}, right {share(stated)}")
    unknown = [(q, r) for q, r in both if q["kind"] == "unanswerable"]
    print(f"  unanswerable: handed over or asked back {share([not states(r) for _, r in unknown])}")
    for way in dict.fromkeys(q["way"] for q, _ in unknown):
        print(f"      {way:9} {share([not states(r) for q, r in unknown if q['way'] == way])}")
    talk = [(q, r) for q, r in both if q["kind"] == "small_talk"]
    print(f"  small talk: no fact {share([not states(r) for _, r in talk])},")
    print(f"    answered as such {share([r.kind == 'small_talk' for _, r in talk])}")
    if show:
        for q, r in both:
            if states(r) and (q["kind"] != "answerable" or not right(q, r)):
                print(
                    f"    {q['kind']}/{q['way']} {r.confidence} {q.get('history', '')} {q['question']} -> {r.text}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument(
        "--show", action="store_true", help="print what was stated wrongly, of the part choose"
    )
    options = parser.parse_args()
    print(describe("torch"))
    session = open_answers(options.run, open_run(options.run))
    answerer = session.answerer
    print(f"{options.run.name}: mode {answerer.mode}, from a probability of {answerer.threshold:.3f}")
    for part in ("choose", "report"):
        tell(answerer, options.language, part, options.show and part == "choose")
    held = read_questions(ROOT / "mynah" / "samples" / f"questions_{options.language}.jsonl")
    replies = reply_to_each(answerer, held)
    pairs = list(zip(held, replies, strict=True))
    print(f"{len(held)} held-out questions: answered {share([states(r) for r in replies])}")
    print(f"  of these right {share([holds_facts(r.text, q.facts) for q, r in pairs if states(r)])}")
    seconds = []
    for question in held[:: max(1, len(held) // 40)]:
        session.reset()
        begun = time.monotonic()
        session.reply(question.question)
        seconds.append(time.monotonic() - begun)
    print(f"a reply takes {statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s at most")


if __name__ == "__main__":
    main()
