"""Write the sample chat logs of an invented shop from their hand-written sources.

``shop_en.toml`` and ``shop_zh.toml`` beside this script hold every sentence: what customers ask,
what the agent answers, and which facts an answer must contain.  This script only deals those
sentences out into conversations, so that the logs have the shape of a real export (single
questions, greetings, second questions, follow-ups) while every word stays reviewable in one place.

For each language it writes into ``../mynah/samples``:

* ``shop_LANG.csv``: the log, with the columns ``conversation_id,speaker,text``;
* ``questions_LANG.jsonl``: the held-out questions, which the log never contains, with the facts a
  right answer holds.  They measure whether a trained bot understood or only memorised.

Run ``python samples/generate.py`` to write the files, or with ``--check`` to verify that the files
on disk are what the sources give and that the sources keep the rules (exit status 1 if not).
Nothing but the standard library is used, and the output depends on the sources and ``SEED`` alone.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "mynah" / "samples"
SEED = 20240229

# Share of the training questions that appear a second time, dressed up as customers write them.
SECOND_SHARE = 0.4
# What becomes of the questions of one intent.  Those not named here stand alone in their
# conversation; as a pair uses up two questions, this leaves about 70 % single exchanges.
FOLLOWUP_SHARE = 0.05
GREETING_SHARE = 0.05
FAREWELL_SHARE = 0.05
PAIRED_SHARE = 0.22

# A held-out question this close to a training question would test memory, not understanding.
MAX_SIMILARITY = 0.75
MAX_CSV_BYTES = 900_000

FINAL_MARKS = ".!?…。！？~～"

Exchange = tuple[str, str]
Conversation = tuple[Exchange, ...]


@dataclass(frozen=True)
class Limits:
    """The least a language's source must offer to be worth training on."""

    intents: int
    questions: int
    heldout: int
    exchanges: int


LIMITS = {
    "en": Limits(intents=40, questions=30, heldout=5, exchanges=1500),
    "zh": Limits(intents=25, questions=20, heldout=4, exchanges=600),
}


@dataclass(frozen=True)
class Intent:
    """One thing customers want to know, with all its wordings."""

    name: str
    facts: list[str]
    replies: list[str]
    questions: list[str]
    heldout: list[str]
    followups: list[Exchange]


@dataclass(frozen=True)
class Source:
    """The content of one ``shop_LANG.toml``."""

    language: str
    openers: list[str]
    closers: list[str]
    greetings: list[Exchange]
    farewells: list[Exchange]
    intents: list[Intent]


@dataclass(frozen=True)
class Item:
    """A customer message on its way into a conversation, with the answer it gets."""

    intent: Intent
    exchange: Exchange


def exchanges(rows: list[list[str]]) -> list[Exchange]:
    """Turn the two-element arrays of the TOML file into (customer, agent) pairs."""
    pairs: list[Exchange] = []
    for row in rows:
        customer, agent = row
        pairs.append((customer, agent))
    return pairs


def load(path: Path) -> Source:
    """Read one source file; a missing key or a malformed pair raises, as it is our own file."""
    with path.open(encoding="utf-8") as file:
        data = tomllib.loads(file.read())
    intents = [
        Intent(
            name=entry["name"],
            facts=entry["facts"],
            replies=entry["replies"],
            questions=entry["questions"],
            heldout=entry["heldout"],
            followups=exchanges(entry.get("followups", [])),
        )
        for entry in data["intent"]
    ]
    return Source(
        language=data["language"],
        openers=data["openers"],
        closers=data["closers"],
        greetings=exchanges(data["greetings"]),
        farewells=exchanges(data["farewells"]),
        intents=intents,
    )


# --- The rules --------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Lower-case a text and drop its punctuation, so that only a real difference counts."""
    text = re.sub(r"['’]", "", text.casefold())
    return " ".join(re.findall(r"\w+", text))


def features(text: str, language: str) -> frozenset[str]:
    """Return what two questions are compared by: words, or character pairs in Chinese."""
    words = plain(text)
    if language != "zh":
        return frozenset(words.split())
    characters = words.replace(" ", "")
    pairs = {characters[i : i + 2] for i in range(len(characters) - 1)}
    return frozenset(pairs or {characters})


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets."""
    return len(one & other) / len(one | other) if one or other else 1.0


def holds(text: str, facts: list[str]) -> bool:
    """Tell whether a text holds every fact; ``a|b`` in a fact accepts either form."""
    text = text.casefold()
    return all(any(form.casefold() in text for form in fact.split("|")) for fact in facts)


def reply_problems(source: Source) -> list[str]:
    """Check that the facts of an intent tell its replies from those of every other intent."""
    problems: list[str] = []
    for intent in source.intents:
        if not intent.facts or not intent.replies:
            problems.append(f"{intent.name}: facts or replies are missing")
            continue
        for reply in intent.replies:
            if not holds(reply, intent.facts):
                problems.append(f"{intent.name}: a reply lacks a fact: {reply}")
        for other in source.intents:
            if other is intent:
                continue
            for reply in other.replies + [agent for _, agent in other.followups]:
                if holds(reply, intent.facts):
                    problems.append(f"{other.name}: a reply holds the facts of {intent.name}")
    return problems


def question_problems(source: Source, limits: Limits) -> list[str]:
    """Check that there are enough questions, and that the held-out ones are really new."""
    problems: list[str] = []
    owner: dict[str, str] = {}
    for intent in source.intents:
        distinct = {plain(question) for question in intent.questions}
        if len(distinct) < limits.questions:
            problems.append(f"{intent.name}: only {len(distinct)} distinct questions")
        if len({plain(question) for question in intent.heldout}) < limits.heldout:
            problems.append(f"{intent.name}: too few held-out questions")
        if len(distinct) < len(intent.questions):
            problems.append(f"{intent.name}: a question is written twice")
        for question in distinct:
            # The same words with two different answers would teach the bot to guess.
            if owner.setdefault(question, intent.name) != intent.name:
                problems.append(f"{intent.name} and {owner[question]} both ask: {question}")

    training = [
        (question, features(question, source.language))
        for intent in source.intents
        for question in intent.questions
    ]
    for intent in source.intents:
        for question in intent.heldout:
            if plain(question) in owner:
                problems.append(f"{intent.name}: held out, but also trained: {question}")
            own = features(question, source.language)
            for trained, other in training:
                if similarity(own, other) >= MAX_SIMILARITY:
                    problems.append(f"{intent.name}: held out {question!r} is like {trained!r}")
    return problems


def log_problems(source: Source, log: list[Conversation], limits: Limits) -> list[str]:
    """Check the finished conversations: enough of them, none twice, every question in bare form."""
    problems: list[str] = []
    total = sum(len(conversation) for conversation in log)
    if total < limits.exchanges:
        problems.append(f"only {total} exchanges")
    for conversation, times in Counter(log).items():
        if times > 1:
            problems.append(f"a conversation comes {times} times: {conversation[0][0]}")
    asked = {customer for conversation in log for customer, _ in conversation}
    for intent in source.intents:
        for question in intent.questions:
            if question not in asked:
                problems.append(f"{intent.name}: never asked as it stands: {question}")
    return problems


def find_problems(source: Source, log: list[Conversation], limits: Limits) -> list[str]:
    """Return everything that breaks a rule, as messages that start with the language."""
    problems: list[str] = []
    if len(source.intents) < limits.intents:
        problems.append(f"only {len(source.intents)} intents")
    if len({intent.name for intent in source.intents}) < len(source.intents):
        problems.append("two intents share a name")
    problems += reply_problems(source)
    problems += question_problems(source, limits)
    problems += log_problems(source, log, limits)
    return [f"{source.language}: {problem}" for problem in problems]


# --- The conversations ------------------------------------------------------------------------


def continue_with(opener: str, question: str) -> str:
    """Put an opener before a question, going on in lower case after a comma where English would."""
    first = question.split(maxsplit=1)[0]
    # "I", "VAT" and names keep their capitals, and Chinese has none to lose.
    is_ordinary = first == "A" or first[1:].islower()
    is_ordinary = is_ordinary and not first.startswith(("I'", "Fernway"))
    if is_ordinary and opener.rstrip().endswith((",", ":")):
        question = question[0].lower() + question[1:]
    return opener + question


def dress(question: str, source: Source, rng: random.Random) -> str:
    """Return the question the way a hurried or a polite customer would have typed it."""
    way = rng.random()
    if way < 0.25:
        bare = question.lower().rstrip(FINAL_MARKS)
        if bare != question:
            return bare
        way = 0.25  # It is careless already, so it gets an opener instead.
    # A closer needs a finished sentence before it.
    finished = question[-1] in FINAL_MARKS
    if way < 0.6 or not finished:
        return continue_with(rng.choice(source.openers), question)
    if way < 0.85:
        return question + rng.choice(source.closers)
    return continue_with(rng.choice(source.openers), question) + rng.choice(source.closers)


def items_of(intent: Intent, source: Source, used: set[str], rng: random.Random) -> list[Item]:
    """Return the customer messages of one intent, shuffled, each with the shop's standard answer."""
    messages = list(intent.questions)
    for question in rng.sample(intent.questions, round(SECOND_SHARE * len(intent.questions))):
        dressed = dress(question, source, rng)
        while dressed in used:
            dressed = dress(question, source, rng)
        used.add(dressed)
        messages.append(dressed)
    rng.shuffle(messages)
    return [Item(intent, (message, intent.replies[0])) for message in messages]


def pair_up(items: list[Item], rng: random.Random) -> list[Conversation]:
    """Join items two by two, of different intents as far as possible; a left-over stays single."""
    pool = list(items)
    rng.shuffle(pool)
    conversations: list[Conversation] = []
    while pool:
        first = pool.pop()
        places = (i for i in reversed(range(len(pool))) if pool[i].intent is not first.intent)
        place = next(places, None)
        if place is None:
            conversations.append((first.exchange,))
        else:
            second = pool.pop(place)
            # Agents use the standard answer first and their own words later in a talk.
            own_words = (second.exchange[0], second.intent.replies[-1])
            conversations.append((first.exchange, own_words))
    return conversations


def build_log(source: Source, seed: int) -> list[Conversation]:
    """Deal all questions of a source out into conversations, the same way for the same seed."""
    rng = random.Random(seed)
    used = {question for intent in source.intents for question in intent.questions}
    # A greeting may be all a customer says.
    log: list[Conversation] = [(greeting,) for greeting in source.greetings]
    paired: list[Item] = []
    for intent in source.intents:
        items = items_of(intent, source, used, rng)
        size = len(items)
        # Each follow-up is worth learning, so every one comes at least once.
        for number in range(max(round(FOLLOWUP_SHARE * size), len(intent.followups))):
            if intent.followups:
                followup = intent.followups[number % len(intent.followups)]
                log.append((items.pop().exchange, followup))
        for _ in range(round(GREETING_SHARE * size)):
            log.append((rng.choice(source.greetings), items.pop().exchange))
        for _ in range(round(FAREWELL_SHARE * size)):
            log.append((items.pop().exchange, rng.choice(source.farewells)))
        for _ in range(round(PAIRED_SHARE * size)):
            paired.append(items.pop())
        log.extend((item.exchange,) for item in items)
    log.extend(pair_up(paired, rng))
    rng.shuffle(log)
    return log


# --- The files --------------------------------------------------------------------------------


def log_csv(log: list[Conversation], language: str) -> str:
    """Return the log as CSV, one message a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["conversation_id", "speaker", "text"])
    for number, conversation in enumerate(log, start=1):
        name = f"{language}{number:04d}"
        for customer, agent in conversation:
            writer.writerow([name, "customer", customer])
            writer.writerow([name, "agent", agent])
    return text.getvalue()


def questions_jsonl(source: Source) -> str:
    """Return the held-out questions, one JSON object a line."""
    lines = [
        json.dumps(
            {
                "question": question,
                "intent": intent.name,
                "facts": intent.facts,
                "answer": intent.replies[0],
            },
            ensure_ascii=False,
        )
        for intent in source.intents
        for question in intent.heldout
    ]
    return "".join(line + "\n" for line in lines)


def build() -> tuple[dict[str, str], list[str]]:
    """Return the text of every output file by its name, and all broken rules."""
    files: dict[str, str] = {}
    problems: list[str] = []
    for language, limits in LIMITS.items():
        path = HERE / f"shop_{language}.toml"
        if not path.is_file():
            problems.append(f"{language}: {path.name} is missing")
            continue
        source = load(path)
        if source.language != language:
            problems.append(f"{path.name} says its language is {source.language}")
        log = build_log(source, SEED)
        problems += find_problems(source, log, limits)
        table = log_csv(log, language)
        size = len(table.encode("utf-8"))
        if size > MAX_CSV_BYTES:
            problems.append(f"{language}: the log has {size} bytes, more than {MAX_CSV_BYTES}")
        files[f"shop_{language}.csv"] = table
        files[f"questions_{language}.jsonl"] = questions_jsonl(source)
    return files, problems


def stale(files: dict[str, str]) -> list[str]:
    """Return a message for every file on disk that is not what it should be."""
    problems: list[str] = []
    for name, text in files.items():
        path = TARGET / name
        if not path.is_file():
            problems.append(f"{name} is missing; run python samples/generate.py")
        # Reading as text forgives a checkout with other line ends.
        elif path.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is out of date; run python samples/generate.py")
    return problems


def main(arguments: list[str] | None = None) -> int:
    """Write the sample files, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the sample chat logs, or check them.")
    parser.add_argument("--check", action="store_true", help="only check, write nothing")
    options = parser.parse_args(arguments)

    files, problems = build()
    if options.check:
        problems += stale(files)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if not options.check:
        TARGET.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (TARGET / name).write_text(text, encoding="utf-8", newline="\n")
    for name, text in files.items():
        print(f"{name}: {len(text.splitlines())} lines, {len(text.encode('utf-8'))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
