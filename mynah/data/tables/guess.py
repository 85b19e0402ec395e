"""Guess what the columns of a table mean; what the user says of a column overrides the guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mynah.data.choices import first_number, option_names
from mynah.data.language import language_of
from mynah.data.layout import Columns, Layout
from mynah.data.tables.column_contents import (
    FEW,
    filled,
    find,
    fuller,
    is_class,
    is_label,
    is_prose,
    is_strong,
    longest,
    longest_cell,
    normal_name,
    said,
    said_by_words,
    telling_label,
)
from mynah.data.tables.header import NAMELESS
from mynah.data.tables.nameless import (
    are_nameless,
    guess_by_contents,
    guess_nameless,
    is_lettered,
    two_languages,
)
from mynah.data.vocabulary import (
    INTERNAL_COLUMNS,
    LANGUAGE_NAMES,
    NAMES,
    NO,
    NOTE_WORDS,
    ROLE_ASSISTANTS,
    ROLE_COLUMNS,
    ROLE_USERS,
    YES,
    names_of_language,
)
from mynah.errors import ConfigError, DataError

#: A table with more columns is none.
MOST_COLUMNS = 4096
#: How alike two texts are.
_LIKENESS = frozenset("score similarity similarityscore relatednessscore goldscore".split())
#: Names of two columns of texts that are compared.
_COMPARED = (
    ("sentence1", "sentence2"), ("texta", "textb"), ("text1", "text2"), ("premise", "hypothesis"),
    ("question1", "question2"),
)  # fmt: skip


def guess_layout(
    path: str,
    columns: Sequence[str],
    sample: Sequence[Mapping[str, str]],
    given: Columns,
    languages: Sequence[str] = (),
) -> Layout:
    """Guess a table's layout from its column names and its first rows; `given` overrides.

    Raises:
        ConfigError: if a given column is not in the table.
        DataError: if no sense can be made of it; the message lists the columns and the flags.
    """
    if len(columns) > MOST_COLUMNS:
        raise DataError(f"{path}: {len(columns):,} columns, more than {MOST_COLUMNS:,}; check --delimiter")
    _check_given(path, columns, given)
    found = {purpose: getattr(given, purpose) or find(purpose, columns) for purpose in NAMES}
    if not found["label"] and len(_classes_each(columns, sample, [*found.values()])) < _MANY_CLASSES:
        found["label"] = telling_label(columns, sample)
    text = given.text or fuller(filled(found["text"], sample), columns, sample)
    found["text"] = text
    question = given.question or said("question", columns, sample)
    answer = given.answer or said("answer", columns, sample, question)
    if not (question and answer) and not (given.text or given.label or given.speaker):
        by_words = said_by_words(columns, sample)
        question = question or by_words[0]
        answer = answer or (by_words[1] if by_words[1] != question else None)
    found["question"], found["answer"] = question, answer
    for one, other in (("question", "answer"), ("answer", "question")):
        if getattr(given, one) and not found[other]:
            raise ConfigError(f"{path}: --{one}-column needs --{other}-column beside it")
    wanted = given.rows_are
    if wanted in (None, "translation") and given.text is None and not (given.question or given.label):
        if pair := _two_languages(columns, sample, wanted is not None, languages):
            return Layout("translation", question=pair[:1], answer=pair[1])
        if wanted:
            raise ConfigError(
                f"{path}: a translation needs two columns of text: --question-column (source) "
                "and --answer-column (target)"
            )
    if wanted == "translation":
        if not (question and answer):
            raise ConfigError(f"{path}: a translation needs --question-column (source) and --answer-column")
        return Layout("translation", question=(question,), answer=answer)
    if wanted == "pairs" and not (question and answer):
        raise ConfigError(f"{path}: pairs need --question-column and --answer-column")
    if (
        (given.text is None or wanted == "pairs")
        and wanted in (None, "pairs")
        and question
        and answer
        and question != answer
    ):
        parts = _with_context(question, columns, found["title"]) if given.question is None else (question,)
        choices, first = option_names([c for c in columns if c not in (*parts, answer)])
        golds = [row.get(answer, "") for row in sample]
        return Layout(
            "pairs",
            question=tuple(c for c in parts if c != answer and c not in choices),
            answer=answer,
            choices=tuple(choices),
            first_choice=first_number(golds, len(choices), first),
        )
    told = answer is not None and (is_prose(answer, sample) or (len(sample) < FEW and is_strong(answer)))
    if wanted is None and not (given.text or given.label or question) and answer and told:
        # What the answer is to stands under a title and as a text, where nothing is called a question.
        told_in = find("text", [column for column in columns if column != answer])
        asked = tuple(dict.fromkeys(c for c in (found["title"], told_in) if c and c != answer))
        if asked:
            return Layout("pairs", question=asked, answer=answer)
    if given.text is None and not (given.label or found["label"] or given.speaker):
        nameless = guess_nameless(columns, sample)
        if nameless is not None and wanted in (None, nameless.kind):
            return replace(nameless, assistant=given.assistant)
    if wanted is None and not (given.text or given.label) and (summed := _summed_up(columns, sample)):
        return summed
    if wanted in (None, "labelled") and given.text is None:
        both = _compared(columns)
        label = found["label"] or next((c for c in columns if normal_name(c) in _LIKENESS), None)
        if both and label:
            return Layout("labelled", title=both[0], text=both[1], label=label)
    text = text or longest(columns, sample, taken=[v for v in found.values() if v])
    if text is None and wanted in (None, "translation", "pairs") and not given.label and not given.speaker:
        # Names that nothing here knows: what the columns hold tells, as where there are no names.
        if pair := two_languages(columns, sample):
            return Layout("translation", question=pair[:1], answer=pair[1])
        if (held := guess_by_contents(columns, sample)) is not None and wanted in (None, held.kind):
            if held.kind != "pairs" or held.choices:
                return held
            flag = f"--rows-are text --text-column '{held.answer}'"
            return replace(held, otherwise=Layout("text", text=held.answer), otherwise_flag=flag)
    if text is None:
        raise DataError(
            f"{path}: cannot tell which column holds the text; columns: {_shown(columns)}; "
            "say --text-column NAME, or --question-column NAME --answer-column NAME"
        )
    return _one_text_column(path, text, found, columns, sample, given)


#: Values of a column that is 1 where a text is of its class.
ONES = frozenset(("1", "1.0", "true", "True", "TRUE"))
_BINARY = ONES | {"0", "0.0", "false", "False", "FALSE", ""}


#: So many columns of 0 and 1 are classes each, though one of them be called like a class.
_MANY_CLASSES = 3


def _classes_each(
    columns: Sequence[str], sample: Sequence[Mapping[str, str]], taken: Sequence[str | None]
) -> tuple[str, ...]:
    """Return the columns that are 0 or 1, each a class that a text may be of; none if there is but one."""
    found = [
        column
        for column in columns
        if column not in taken
        and (values := {row.get(column, "").strip() for row in sample}) <= _BINARY
        and values - {""}
    ]
    varied = sum(len({row.get(column, "").strip() in ONES for row in sample}) > 1 for column in found)
    return tuple(found) if varied > 1 and not all(map(NAMELESS.fullmatch, found)) else ()


#: What the subject of a ticket or a mail is called.
_SUBJECTS = frozenset("subject ticketsubject betreff asunto sujet objet assunto 主题 主旨 標題".split())


def _with_context(question: str, columns: Sequence[str], title: str | None) -> tuple[str, ...]:
    """Return the columns that a question is made of: a ticket's subject, the passage it is about, what it works on."""
    folded = {normal_name(column): column for column in columns}
    around = [folded[name] for name in ("input", "context", "passage") if name in folded]
    around = [column for column in around if column != question][:1]
    if normal_name(question) in (
        "instruction",
        "prompt",
    ):  # Alpaca, Dolly: the input belongs to the instruction
        return (question, *around)
    subject = (title,) if title and title != question and normal_name(title) in _SUBJECTS else ()
    return (*subject, *around, question)


def _one_text_column(
    path: str,
    text: str,
    found: Mapping[str, str | None],
    columns: Sequence[str],
    sample: Sequence[Mapping[str, str]],
    given: Columns,
) -> Layout:
    """Choose among messages, labelled texts and plain texts."""
    wanted = given.rows_are
    layout = Layout(
        "messages",
        text=text,
        conversation=found["conversation"],
        chat=found["chat"],
        message_id=found["message_id"],
        reply_to=found["reply_to"],
        speaker=found["speaker"] if found["speaker"] != text else None,
        direction=_direction(found["direction"], sample)
        or _role_column(found["speaker"], columns, sample)
        or _role_by_values(columns, sample),
        time=found["time"],
        type=given.type or _message_type(found["type"], sample),
        internal=_internal_column(columns, sample),
        title=found["title"] if found["title"] != text else None,
        assistant=given.assistant,
    )
    if layout.reply_to and not layout.message_id:
        layout = replace(layout, reply_to=None)
    if layout.reply_to and not layout.conversation and _names_conversations(layout, sample):
        layout = replace(layout, conversation=layout.reply_to, reply_to=None)
    if layout.chat and not layout.time:  # nothing to cut it by
        layout = replace(layout, conversation=layout.conversation or layout.chat, chat=None)
    label = found["label"] or ""
    # A text may be of several classes, each of its sets of them rare.
    several = normal_name(label) in ("labels", "cats") and longest_cell(label, sample) <= LONGEST_LABEL
    labelled = bool(label) and label != text and (several or is_label(label, sample))
    speaks = bool(layout.direction) or (
        layout.speaker is not None and _is_speaker(layout, found, given, labelled)
    )
    if given.assistant and not (layout.speaker or layout.direction) and wanted in (None, "messages"):
        raise ConfigError(f"{path}: --assistant needs a column that says who speaks: --speaker-column NAME")
    if wanted == "messages" and not speaks:
        raise ConfigError(f"{path}: messages need --speaker-column or --direction-column")
    if wanted == "labelled" and not found["label"]:
        raise ConfigError(f"{path}: labelled rows need --label-column")
    if speaks and wanted in (None, "messages"):
        return layout
    title = found["title"] if found["title"] != text else None
    if labelled and title is None:  # a review's own heading
        title = next((c for c in columns if normal_name(c) == "summary" and c != text), None)
    if wanted == "text":
        return Layout("text", text=text, title=title)
    if wanted == "labelled":
        return Layout("labelled", text=text, title=title, label=found["label"])
    if labelled:
        return Layout("labelled", text=text, title=title, label=found["label"])
    if columns_each := _classes_each(columns, sample, (text, *found.values())):
        return Layout("labelled", text=text, title=title, labels=columns_each)
    as_text = Layout("text", text=text, title=title)
    if wanted is None and (beside := _class_beside(columns, sample, (text, *found.values()))):
        as_labelled = Layout("labelled", text=text, title=title, label=beside)
        if len(columns) == 2:
            return as_labelled
        return replace(as_text, otherwise=as_labelled, otherwise_flag=f"--label-column {beside}")
    return as_text


def _names_conversations(layout: Layout, sample: Sequence[Mapping[str, str]]) -> bool:
    """Whether what should name the message replied to is none of them, and comes again and again: a ticket's."""
    above = [cell for row in sample if (cell := row.get(layout.reply_to or "", "").strip())]
    ids = {row.get(layout.message_id or "", "").strip() for row in sample}
    return len(above) > 2 and not ids & {*above} and 3 * len({*above}) <= 2 * len(above)


def _class_beside(
    columns: Sequence[str], sample: Sequence[Mapping[str, str]], taken: Sequence[str | None]
) -> str | None:
    """Return the one column beside a text that repeats a few words, whatever it is called."""
    found = [
        column
        for column in columns
        if column not in taken
        and is_class(column, sample)
        and len(values := {row.get(column, "").strip() for row in sample}) > 1
        and filled(column, sample)
        and (any(any(map(str.isalpha, value)) for value in values) or len(columns) == 2)
        and max(map(len, values)) <= LONGEST_LABEL
    ]
    return found[0] if len(found) == 1 else None


#: Characters of a class's name.
LONGEST_LABEL = 64


def _is_speaker(layout: Layout, found: Mapping[str, str | None], given: Columns, labelled: bool) -> bool:
    """Tell who says a message from who wrote a text: a text has a title or a class and answers nobody."""
    assert layout.speaker is not None
    threaded = layout.reply_to or layout.conversation or layout.chat
    if layout.title and not (given.speaker or threaded):
        return False
    wrote = normal_name(layout.speaker) in (
        "author", "authorname", "name", "username", "user", "userid", "owneruserid", "source", "autor", "auteur"
    )  # fmt: skip
    return bool(
        given.speaker or threaded or not wrote or (layout.time and not found["title"] and not labelled)
    )


def _two_languages(
    columns: Sequence[str],
    sample: Sequence[Mapping[str, str]],
    sure: bool,
    asked: Sequence[str],
) -> tuple[str, str] | None:
    """Return the two columns that say the same in two languages.

    They are those that were asked for, or are named for languages (or source and target), and then language
    identification must agree unless the user is sure; or they are the only texts in a table without a header.
    """
    # A column called id holds numbers as often as Indonesian.
    named = {
        normal_name(c): c for c in columns if normal_name(c) in LANGUAGE_NAMES and is_lettered(c, sample)
    }
    if asked:
        pair = [named[name] for language in asked for name in names_of_language(language) if name in named]
        return (pair[0], pair[1]) if len(pair) == 2 else None
    if are_nameless(columns):
        return two_languages(columns, sample)
    if len(named) < 2:
        return None
    first, second = [*named.values()][:2]
    if sure:
        return first, second
    texts = [[t for row in sample[:200] if (t := row.get(c, "").strip())] for c in (first, second)]
    if any(len(set(t)) * 4 < len(t) or not t for t in texts):  # a class repeats, a sentence does not
        return None
    codes = [language_of(" \n".join(t)[:4000]).code for t in texts]
    prose = len(sample) < FEW or all(is_prose(c, sample) for c in (first, second))
    return (first, second) if codes[0] != codes[1] and prose else None


def _summed_up(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> Layout | None:
    """Return the layout of texts beside what they come to: article and highlights, dialogue and summary."""
    folded = {normal_name(column): column for column in columns}
    for name in ("article", "document", "dialogue", "story", "report", "bill"):
        for short in ("highlights", "summary", "abstract"):
            if name in folded and short in folded and is_prose(folded[short], sample):
                made = Layout("pairs", question=(folded[name],), answer=folded[short])
                other = Layout("text", text=folded[name])
                return replace(
                    made, otherwise=other, otherwise_flag=f"--rows-are text --text-column {folded[name]}"
                )
    return None


def _compared(columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the two columns of texts that a class is about: does the second follow from the first, say."""
    folded = {normal_name(column): column for column in columns}
    for first, second in _COMPARED:
        if first in folded and second in folded:
            return folded[first], folded[second]
    return None


def _message_type(column: str | None, sample: Sequence[Mapping[str, str]]) -> str | None:
    """Keep a type column only if some of its values say that a message is text."""
    if column is None:
        return None
    values = {row.get(column, "").strip().lower() for row in sample}
    return column if values & {"text", "文本", "文字", "1"} and len(values) <= 30 else None


def _check_given(path: str, columns: Sequence[str], given: Columns) -> None:
    for purpose in NAMES:
        column = getattr(given, purpose)
        if column is not None and column not in columns:
            flag = f"--{purpose.replace('_', '-')}-column"
            raise ConfigError(f"{path}: {flag} {column}: no such column; columns: {_shown(columns)}")


def _shown(columns: Sequence[str]) -> str:
    """List column names for an error, cut short: what was taken for a header may be somebody's message."""
    return ", ".join(c if len(c) <= 32 else f"{c[:12]}... ({len(c)} characters)" for c in columns)


def _direction(column: str | None, sample: Sequence[Mapping[str, str]]) -> str | None:
    """Keep a direction column only if it takes two values (the sample may show one of them)."""
    if column is None:
        return None
    return column if len({row.get(column, "").strip().lower() for row in sample} - {""}) <= 2 else None


def _role_column(
    speaker: str | None, columns: Sequence[str], sample: Sequence[Mapping[str, str]]
) -> str | None:
    """Return the column that says beside a name what somebody is: customer, agent, bot."""
    for column in columns:
        if column == speaker or normal_name(column) not in ROLE_COLUMNS:
            continue
        values = [value for row in sample if (value := row.get(column, "").strip().lower())]
        known = sum(value in ROLE_USERS | ROLE_ASSISTANTS for value in values)
        if values and known >= 0.8 * len(values) and len(set(values)) <= 12:
            return column
    return None


#: Words for what a desk or an app says itself.
_SYSTEMS = frozenset("system notification event app 系统 系统消息 通知".split())


def _role_by_values(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> str | None:
    """Return the column that says in every row who speaks, by a word for a customer or for who answers them."""
    for column in columns:
        values = {row.get(column, "").strip().lower() for row in sample} - _SYSTEMS
        both = values & ROLE_USERS and values & ROLE_ASSISTANTS
        if both and values <= ROLE_USERS | ROLE_ASSISTANTS and len(sample) >= 2 * len(values):
            return column
    return None


def _internal_column(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> str | None:
    """Return the column that tells messages among colleagues, if some are: `public` = false, `type` = note."""
    for column in columns:
        marks = INTERNAL_COLUMNS.get(normal_name(column))
        if marks is None:
            continue
        values = {row.get(column, "").strip().lower() for row in sample}
        known = marks is NOTE_WORDS or values <= YES | NO | {""}
        if known and values & marks and values - marks:  # where all are so it says nothing
            return column
    return None
