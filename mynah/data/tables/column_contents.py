"""What the cells of a column hold: words, classes, times; and which column of a name holds what is looked for."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Mapping, Sequence

from mynah.data.vocabulary import NAMES

#: Names that stand for people or classes as often as for what is said.
_WEAK = frozenset(
    "user human customer client source context input request q a agent bot assistant target output issue problem "
    "complaint inquiry enquiry demande anfrage consulta code program".split()
)
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Names of a text that may stand beside a longer one.
_SHORT = frozenset("title headline summary abstract description document story 标题".split())
#: So few rows prove nothing against a name.
FEW = 10
#: Names of classes that only their values tell from other columns.
_TELLING = re.compile(r"target|y|toxic|toxicity|spam|polarity|is[a-z]+")


def normal_name(name: str) -> str:
    """Fold a column name for comparison: lower case, letters without accents, digits and Han only."""
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", name[:100].lower()))
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", bare))


def said(
    purpose: str, columns: Sequence[str], sample: Sequence[Mapping[str, str]], question: str | None = None
) -> str | None:
    """Return the column with what is asked or answered: the first that is called so, and holds sentences if its name
    stands for people or classes as often."""
    folded = {normal_name(column): column for column in reversed(columns)}
    worded = [c for c in columns if is_worded(c, sample)]
    longest = max((mean(c, sample) for c in worded), default=0.0)
    strong = question is not None and normal_name(question) not in _WEAK
    for name in sorted(NAMES[purpose], key=lambda name: name in _WEAK):
        column = folded.get(name)
        if column is None or column == question:
            continue
        if name not in _WEAK or (strong and not is_class(column, sample)):
            return column
        if len(sample) < FEW or (column in worded and mean(column, sample) >= 0.2 * longest):
            return column
    return None


#: Words in a column's name that say what it holds, and those that do with a word for a message beside them.
_ASKS = frozenset(
    "question questions query inquiry enquiry pregunta preguntas frage fragen pergunta kundenfrage".split()
)
_REPLIES = frozenset(
    "answer answers reply replies response responses respuesta respuestas antwort antworten reponse reponses resposta "
    "resolution solution losung solucion".split()
)
_USERS, _AGENTS = (
    frozenset("user customer client visitor human".split()),
    frozenset("bot agent assistant support".split()),
)
_MESSAGES = frozenset("message msg text utterance input output said".split())
_HAN_ASKS = re.compile("问题|問題|标准问|標準問|質問|提问|用户问|咨询")
_HAN_REPLIES = re.compile("答案|回答|答复|回复|回覆|返信|解答|话术")
_INTERNAL = frozenset("internal private note notes interno intern".split())


def said_by_words(
    columns: Sequence[str], sample: Sequence[Mapping[str, str]]
) -> tuple[str | None, str | None]:
    """Return the columns with what is asked and with what is answered, by words in longer names: "Customer Question".

    Each holds sentences, and no other column is called so as well.
    """
    asks, replies = [], []
    for column in columns:
        words = {
            normal_name(word)
            for word in re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column))
        }
        if words & _INTERNAL or not is_worded(column, sample) or is_class(column, sample):
            continue
        if words & _REPLIES or (words & _AGENTS and words & _MESSAGES) or _HAN_REPLIES.search(column):
            replies.append(column)
        elif words & _ASKS or (words & _USERS and words & _MESSAGES) or _HAN_ASKS.search(column):
            asks.append(column)
    return (asks[0] if len(asks) == 1 else None), (replies[0] if len(replies) == 1 else None)


def is_strong(column: str) -> bool:
    """Whether a column's name stands for what is said, and for no person or class as well."""
    return normal_name(column) not in _WEAK


def is_class(column: str, sample: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column of many rows has a few values."""
    values = {row.get(column, "").strip() for row in sample}
    return len(sample) >= 20 and len(values) <= 10


def telling_label(columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> str | None:
    """Return a column that is called like a class and has a few values."""
    named = [c for c in columns if _TELLING.fullmatch(normal_name(c))]
    for column in named:
        values = {row.get(column, "").strip() for row in sample} - {""}
        if len(values) > 1 and (is_class(column, sample) or (len(values) == 2 and len(sample) >= 4)):
            return column
    return None


def fuller(text: str | None, columns: Sequence[str], sample: Sequence[Mapping[str, str]]) -> str | None:
    """Return a text column, or the one beside it that holds much more if it is called like a heading."""
    if text is None or normal_name(text) not in _SHORT:
        return text
    longest = max((c for c in columns if is_worded(c, sample)), key=lambda c: mean(c, sample), default=text)
    return longest if mean(longest, sample) > 1.5 * mean(text, sample) else text


def mean(column: str, sample: Sequence[Mapping[str, str]]) -> float:
    """Return how many characters the cells of a column have on average."""
    return statistics.fmean(len(row.get(column, "")) for row in sample) if sample else 0.0


def longest_cell(column: str, sample: Sequence[Mapping[str, str]]) -> int:
    """Return how many characters the longest cell of a column has."""
    return max((len(row.get(column, "")) for row in sample), default=0)


def is_prose(column: str, sample: Sequence[Mapping[str, str]]) -> bool:
    """Whether the cells of a column are words that hardly repeat, and no class."""
    texts = [text for row in sample if (text := row.get(column, "").strip())]
    return is_worded(column, sample) and 2 * len(set(texts)) > len(texts)


def is_worded(column: str, sample: Sequence[Mapping[str, str]]) -> bool:
    """Whether most cells of a column hold words, not numbers or codes."""
    texts = [text for row in sample if (text := row.get(column, "").strip())]
    texts = [text for text in texts if "://" not in text or " " in text]  # an address is no text
    worded = sum(bool(re.search(r"[^\W\d_]\W+[^\W\d_]|[\u3040-\u9fff]{2}", text)) for text in texts)
    return bool(texts) and 2 * worded > len(texts)


def is_clock(values: Sequence[str]) -> bool:
    """Whether most of some cells hold a time of day."""
    return 5 * sum(re.search(r"\b\d{1,2}:\d{2}\b", value) is not None for value in values) > 4 * len(values)


def find(purpose: str, columns: Sequence[str]) -> str | None:
    """Return the column that is called as its purpose is, by the most telling name."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(normal_name(column), column)
    return next((by_name[name] for name in NAMES[purpose] if name in by_name), None)


def filled(column: str | None, sample: Sequence[Mapping[str, str]]) -> str | None:
    """Drop a text column that is nearly always empty (a `title` that nobody filled)."""
    if column is None or not sample:
        return column
    filled = sum(bool(row.get(column, "").strip()) for row in sample)
    return column if filled * 2 >= len(sample) else None


def longest(columns: Sequence[str], sample: Sequence[Mapping[str, str]], taken: Sequence[str]) -> str | None:
    """Return the one column that plainly holds the text: long on average, words with spaces or Han."""

    free = [c for c in columns if c not in taken and is_worded(c, sample)]
    free.sort(key=lambda c: mean(c, sample), reverse=True)
    if not free or mean(free[0], sample) < 8:
        return None
    if len(free) > 1 and mean(free[1], sample) > 0.6 * mean(free[0], sample):
        return None
    return free[0]


def is_label(column: str, sample: Sequence[Mapping[str, str]]) -> bool:
    """A label repeats and is short."""
    values = [row.get(column, "").strip() for row in sample]
    values = [value for value in values if value]
    few = len(set(values)) <= max(2, len(values) // 2)
    return bool(values) and few and max(map(len, values)) <= 64
