"""The pipeline over one record: named steps in order, each keeping, changing, warning of or dropping it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mynah.data.clean.config import Action, CleanConfig, LanguageConfig
from mynah.data.clean.measure import Measured, measured
from mynah.data.clean.quality import c4, c4_lines, fineweb, gopher, remove_boilerplate, repetition
from mynah.data.clean.text import (
    TextStep,
    fold_whitespace,
    remove_control,
    remove_html,
    repair_unicode,
    script_converter,
)
from mynah.data.language import LANGUAGES, language_of
from mynah.data.preprocess import remove_stop_words
from mynah.data.records import Conversation, Document, Record, merge_turns
from mynah.data.store import Change
from mynah.data.verdict import Verdict
from mynah.errors import ConfigError

#: How surprising a text is to a model that is handed in: perplexity, 1 or more.
Perplexity = Callable[[str], float]


#: A step returns the record (the same object if it is as it was) and its verdicts.
Step = Callable[[Record], tuple[Record, tuple[Verdict, ...]]]


def steps_of(config: CleanConfig, perplexity: Perplexity | None = None) -> list[tuple[str, Step]]:
    """Return the chosen steps by name, in the order in which they run.

    Args:
        config: settings.
        perplexity: a model's judgement, for `quality.perplexity`.

    Raises:
        ConfigError: if a language is not known, one of `stop_words` has no list, or a perplexity is asked for and
        no model or limit given. MissingDependency: if a step needs a package that is not installed.
    """
    steps: list[tuple[str, Step]] = [
        (name, partial(_change_texts, change, _DONE.get(name.partition(" ")[0], "")))
        for name, change in text_steps(config)
    ]
    steps.append(("empty", drop_empty))
    if config.boilerplate:
        steps.append(
            ("boilerplate", partial(_change_document, remove_boilerplate, "lines that no author wrote"))
        )
    if config.language.keep:
        if unknown := [code for code in config.language.keep if code not in LANGUAGES]:
            near = difflib.get_close_matches(unknown[0], sorted(LANGUAGES), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(
                f"--language {unknown[0]}: no such code; expected ISO 639-1, such as en or zh{hint}"
            )
        steps.append(("language", partial(_language, config.language)))
    quality = config.quality
    if quality.c4 != "off":
        if quality.c4 == "drop":
            steps.append(("c4 lines", partial(_change_document, c4_lines, "lines that C4 leaves out")))
        steps.append(("c4", partial(_judge, c4, quality.c4)))
    for name, rule, action in (
        ("gopher", gopher, quality.gopher),
        ("repetition", repetition, quality.repetition),
        ("fineweb", fineweb, quality.fineweb),
    ):
        if action != "off":
            steps.append((name, partial(_judge, rule, action)))
    if quality.perplexity != "off":
        if perplexity is None or quality.max_perplexity is None:
            missing = "a model: clean.quality.model" if perplexity is None else "clean.quality.max_perplexity"
            raise ConfigError(f"clean.quality.perplexity needs {missing}")
        judge = partial(_perplexity, perplexity, quality.max_perplexity, quality.perplexity)
        steps.append(("perplexity", judge))
    if config.personal.action != "off" or config.personal.drop:
        from mynah.data.personal.redact import Redactor

        steps.append(("personal data", Redactor(config.personal)))
    return steps


def text_steps(config: CleanConfig) -> list[tuple[str, TextStep]]:
    """Return the chosen steps that work on any text, a line typed in a chat too."""
    steps: list[tuple[str, TextStep]] = []
    if config.repair:
        steps.append(("repair", repair_unicode))
    if config.control:
        steps.append(("control", remove_control))
    if config.html:
        steps.append(("html", remove_html))
    if config.whitespace:
        steps.append(("whitespace", fold_whitespace))
    if config.script:
        steps.append((f"script {config.script}", script_converter(config.script)))
    if config.lowercase:
        steps.append(("lowercase", str.lower))
    for language in config.stop_words:
        steps.append((f"stop words {language}", remove_stop_words(language)))
    return steps


def clean_text(text: str, config: CleanConfig) -> str:
    """Clean one text as the training text was cleaned, for example a line typed in a chat."""
    for _, step in text_steps(config):
        text = step(text)
    return text


def clean_record(record: Record, steps: list[tuple[str, Step]]) -> tuple[Record | None, list[Change]]:
    """Run steps over a record; return what is left of it (None: it was dropped) and the lines of the account."""
    changes: list[Change] = []
    for name, step in steps:
        record, verdicts = step(record)
        for verdict in verdicts:
            changes.append(Change(verdict.action, name, verdict.reason, record.place))
            if verdict.action == "dropped":
                return None, changes
    return record, changes


#: What a step on texts did, as the account calls it.
_DONE = {
    "repair": "mis-decoded text, ligatures, normal form",
    "control": "control and zero-width characters",
    "html": "tags and entities",
    "whitespace": "white space",
    "script": "Chinese script",
    "lowercase": "lower case",
    "stop": "stop words",
}


def _change_texts(change: TextStep, reason: str, record: Record) -> tuple[Record, tuple[Verdict, ...]]:
    before = record.texts
    after = tuple(map(change, before))
    return (record, ()) if after == before else (record.with_texts(after), (Verdict("changed", reason),))


def _change_document(change: TextStep, reason: str, record: Record) -> tuple[Record, tuple[Verdict, ...]]:
    """Change documents alone; empty ones are dropped."""
    if not isinstance(record, Document):
        return record, ()
    changed, verdicts = _change_texts(change, reason, record)
    return drop_empty(changed) if verdicts and not changed.texts[0].strip() else (changed, verdicts)


def drop_empty(record: Record) -> tuple[Record, tuple[Verdict, ...]]:
    """Take empty turns out of a conversation; drop what has no text left."""
    if isinstance(record, Conversation):
        kept = [message for message in record.messages if message.content.strip()]
        if not kept:
            return record, (Verdict("dropped", "empty after cleaning"),)
        if len(kept) < len(record.messages):
            return replace(record, messages=merge_turns(kept)), (Verdict("changed", "empty turns"),)
    elif not all(text.strip() for text in record.texts):
        return record, (Verdict("dropped", "empty after cleaning"),)
    return record, ()


def _language(config: LanguageConfig, record: Record) -> tuple[Record, tuple[Verdict, ...]]:
    """Keep what has a text in one of the languages; what is too short to tell is no reason to drop."""
    found = [language_of(text) for text in record.texts]
    sure = [language.code for language in found if language.code and language.score >= config.min_score]
    if not sure or any(code in config.keep for code in sure):
        return record, ()
    return record, _say(config.action, f"language {max(set(sure), key=sure.count)}")


def _judge(
    rule: Callable[[Measured], str | None], action: Action, record: Record
) -> tuple[Record, tuple[Verdict, ...]]:
    """Judge documents: the rules were made for pages, not for the turns of a chat."""
    if not isinstance(record, Document):
        return record, ()
    reason = rule(measured(record.text))
    return record, _say(action, reason) if reason else ()


def _perplexity(
    model: Perplexity, limit: float, action: Action, record: Record
) -> tuple[Record, tuple[Verdict, ...]]:
    surprised = model("\n".join(record.texts))
    return record, _say(action, f"perplexity above {limit:g}") if surprised > limit else ()


def _say(action: Action, reason: str) -> tuple[Verdict, ...]:
    return (Verdict("dropped" if action == "drop" else "warned", reason),)
