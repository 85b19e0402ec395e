"""LaTeX: text kept, mark-up removed, formulas as they are, simple macros of the file resolved."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from mynah.data.readers.encoding import encoding_of
from mynah.data.readers.inputs import Input
from mynah.data.readers.plain import cut
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading

LARGEST = 32 << 20
_COMMENT = re.compile(r"(?<!\\)%.*(?:\n[ \t]*)?")
_MACRO = re.compile(
    r"\\(?:re)?newcommand\*?\s*\{?\\([A-Za-z]+)\}?\s*(?:\[(\d)\])?\s*(?:\[[^\]]*\])?\s*\{((?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+)\}"
    r"|\\def\s*\\([A-Za-z]+)\s*((?:#\d)*)\{((?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+)\}"
)
_MATH = re.compile(
    r"\$\$.+?\$\$|\$[^$]+?\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(equation|align|gather|multline|eqnarray|math|displaymath)(\*?)\}.+?\\end\{\1\2\}",
    re.DOTALL,
)
_DROPPED = re.compile(
    r"\\begin\{(tikzpicture|figure|table|tabular|thebibliography|comment|lstlisting|diagram)(\*?)\}.*?\\end\{\1\2\}",
    re.DOTALL,
)
_WITHOUT_TEXT = re.compile(
    r"\\(?:label|cite[a-z]*|index|indexdef|indexsee|vspace|hspace|input|include|bibliography[a-z]*|usepackage|"
    r"documentclass|pagestyle|thispagestyle|setcounter|addtocounter|includegraphics|hypersetup|newtheorem|setlength|addcontentsline|"
    r"symlabel|phantomsection|nocite|marginpar|todo|renewcommand|newcommand|providecommand|DeclareMathOperator)\*?"
    r"(?:\s*\[[^\]]*\])*(?:\s*\{(?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+\})*"
)
_DEFINITION = re.compile(
    r"\\(?:(?:re|provide)?newcommand|def|let|newenvironment|DeclareMathOperator|newtheorem)(?![A-Za-z])"
)
_REFERENCE = re.compile(r"\\(?:ref|eqref|cref|Cref|autoref|nameref|pageref|vref)\*?\s*\{[^{}]*\}")
_HEADING = re.compile(
    r"\\(?:part|chapter|section|subsection|subsubsection|paragraph|title)\*?\s*(?:\[[^\]]*\])?\s*\{((?:[^{}]++|\{[^{}]*+\})*+)\}"
)
_ITEM = re.compile(r"\\item\s*(?:\[([^\]]*)\])?")
_ENVIRONMENT = re.compile(
    r"\\begin\{(?:minipage|multicols|adjustbox|wrapfigure|tabularx|subfigure|spacing)\*?\}(?:\[[^\]]*\])*\{[^{}]*\}"
    r"|\\(?:begin|end)\{[^{}]*\}(?:\[[^\]]*\])*"
)
#: A line's end, and how much space is left under it.
_LINE_END = re.compile(r"\\\\\*?\s*\[-?[\d.]+\s*\\?\w*\]")
#: Boxes and colours, with the sizes and names before what they hold.
_BOX = re.compile(
    r"\\(?:framebox|makebox|savebox|frame|fbox|mbox|shadowbox|ovalbox|doublebox|boxed)\b\s*(?:\([^()]*\))?(?:\s*\[[^\]]*\])*"
    r"|\\(?:parbox|raisebox|colorbox|textcolor|scalebox|rotatebox|href|color|fontsize|selectlanguage|foreignlanguage)\b"
    r"(?:\s*\[[^\]]*\])*\s*\{[^{}]*\}(?:\s*\[[^\]]*\])*"
    r"|\\(?:fcolorbox|resizebox)\b\*?(?:\s*\[[^\]]*\])*\s*\{[^{}]*\}\s*\{[^{}]*\}"
)
#: Commands that set type or space; of others that nothing defines, the name is kept: it stands for a word.
_SETTING = re.compile(
    r"\\(?:text[a-z]{2,6}|emph|em|bf|it|rm|sf|sc|tt|sl|bfseries|itshape|rmfamily|sffamily|ttfamily|scshape|tiny|scriptsize|footnotesize|small|"
    r"normalsize|large|Large|LARGE|huge|Huge|centering|noindent|indent|par|medskip|bigskip|smallskip|newpage|clearpage|cleardoublepage|"
    r"pagebreak|linebreak|newline|maketitle|tableofcontents|appendix|frontmatter|mainmatter|backmatter|hfill|vfill|quad|qquad|enspace|"
    r"thinspace|protect|relax|left|right|big|Big|bigg|Bigg|displaystyle|textstyle|footnote|footnotetext|url|href|mbox|hbox|makebox|fbox|"
    r"underline|uppercase|lowercase|MakeUppercase|caption|author|date|and|thanks|hyphenation|sloppy|fussy|allowbreak|nolinebreak|penalty|"
    r"addtolength|hskip|vskip|kern|bgroup|egroup|begingroup|endgroup|let|def|ifx|if[a-z]*|fi|else|expandafter|csname|endcsname|global|"
    r"makeatletter|makeatother|define|blank|endinput|raggedright|raggedleft)(?![A-Za-z])\*?(?:\s*\[[^\]]*\])?[ \t]*"
)
_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|$)", re.DOTALL)
#: What of a text are commands with the names of what they set, brackets, and more white space than one.
_MARK = re.compile(r"\\(?:begin|end)\{[^{}]*\}|\\[A-Za-z@]+\*?(?:\[[^\]]*\])?|[{}\\]|(?<=\s)\s+")
_COMMAND = re.compile(r"\\([A-Za-z@]+)\*?(?:\s*\[[^\]]*\])?([ \t]*)")
_ACCENTS = {
    "'": "\u0301",
    "`": "\u0300",
    "^": "\u0302",
    '"': "\u0308",
    "~": "\u0303",
    "=": "\u0304",
    ".": "\u0307",
    "c": "\u0327",
    "v": "\u030c",
}
_ACCENT = re.compile(r"\\(['`^\"~=.]|[cv](?=[{ ]))\s*\{?\\?([A-Za-z])\}?")
_SYMBOLS = {
    "---": "—", "--": "–", "``": "“", "''": "”", "~": " ", r"\ldots": "…", r"\dots": "…", r"\&": "&", r"\%": "%", r"\#": "#", r"\_": "_", r"\$": "$",
    r"\{": "{", r"\}": "}", r"\ss": "ß", r"\oe": "œ", r"\ae": "æ", r"\o ": "ø", r"\S": "§", r"\ ": " ", r"\,": " ", r"\;": " ", r"\/": "", r"\-": "", r"\\": "\n",
}  # fmt: skip


def is_latex(start: str) -> bool:
    """Whether a text looks like LaTeX: it declares a class, or uses several of its commands."""
    return (
        r"\documentclass" in start
        or len(re.findall(r"\\(?:section|chapter|begin|label|emph|cite|newcommand|item)\b", start)) >= 5
    )


def read(given: Input, reading: Reading) -> Iterator[Record | Rejected]:
    """Yield the text of a LaTeX file, in pieces."""
    with given.text(encoding_of(given, reading)) as file:
        source = file.read(LARGEST)
        if file.read(1):
            yield Rejected(given.name, 0, f"what stands beyond the first {LARGEST >> 20} Mi characters")
    reading.tell(form="LaTeX", layout="text and formulas, cut at blank lines")
    text = to_text(source)
    _account(source, text, reading)
    if text.strip() and len(_DEFINITION.findall(source)) <= max(20, 2 * text.count(". ")):
        yield from cut(iter(text.splitlines(keepends=True)), given.name)
    else:
        yield Rejected(given.name, 0, "LaTeX without text (a file of macros)")


def _account(source: str, text: str, reading: Reading) -> None:
    """Account for what of the source is no text: by what was taken out, and the letters of its commands."""
    reading.source.characters += len(source)
    body = _COMMENT.sub("", source)
    reading.drop("comments of LaTeX", len(source) - len(body))
    inside = _BODY.search(body)
    if inside:
        reading.drop("preamble of LaTeX", len(body) - len(inside[1]))
        body = inside[1]
    shown = _DROPPED.sub("", body)
    reading.drop("figures, tables, code and bibliographies", len(body) - len(shown))
    marks = len(shown) - len(_MARK.sub("", _WITHOUT_TEXT.sub("", shown)))
    reading.drop("commands of LaTeX", min(marks, max(0, len(shown) - len(text))))


def to_text(source: str) -> str:
    """Return the text of LaTeX source; formulas stay in LaTeX, macros defined in the source are written out."""
    source = _COMMENT.sub("", source)
    macros = _macros(source)
    body = _BODY.search(source)
    text = _MACRO.sub("", body[1] if body else source)
    text = _DROPPED.sub("\n\n", text)
    text = _expand(text, macros)
    formulas: list[str] = []

    def keep(found: re.Match[str]) -> str:
        formulas.append(re.sub(r"\s+", " ", _WITHOUT_TEXT.sub("", found[0])))
        return f"\x00{len(formulas) - 1}\x00"

    text = _REFERENCE.sub("…", text)
    text = _MATH.sub(keep, text)
    text = _HEADING.sub(r"\n\n\1\n\n", text)
    text = _LINE_END.sub(r"\\\\", text)
    text = _BOX.sub("", _WITHOUT_TEXT.sub("", text))
    text = _ITEM.sub(lambda m: f"\n- {m[1]} " if m[1] else "\n- ", text)
    text = _ENVIRONMENT.sub("\n\n", text)
    text = _ACCENT.sub(lambda m: unicodedata.normalize("NFC", m[2] + _ACCENTS[m[1]]), text)
    for mark, char in _SYMBOLS.items():
        text = text.replace(mark, char)
    text = _SETTING.sub("", text)
    text = _COMMAND.sub(r"\1\2", text)
    text = text.replace("{", "").replace("}", "")
    text = re.sub(r"\x00(\d+)\x00", lambda m: formulas[int(m[1])] if int(m[1]) < len(formulas) else "", text)
    text = re.sub(r"(?<=\S)\n(?=[^\s-])", " ", text)  # a single line end is a space in LaTeX
    text = re.sub(r"[ \t]+", " ", re.sub(r" *\n *", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _macros(source: str) -> dict[str, tuple[int, str]]:
    """Return name -> (number of arguments, body) of the macros that a file defines."""
    found = {}
    for macro in _MACRO.finditer(source):
        if macro[1]:
            found[macro[1]] = (int(macro[2] or 0), macro[3])
        else:
            found[macro[4]] = (macro[5].count("#"), macro[6])
    return {name: macro for name, macro in found.items() if f"\\{name}" not in macro[1] and macro[0] <= 2}


def _expand(text: str, macros: dict[str, tuple[int, str]]) -> str:
    """Write macros out, three deep and to no more than ten times the text: enough for names, no bomb."""
    if not macros:
        return text
    names = "|".join(sorted(map(re.escape, macros), key=len, reverse=True))
    argument = r"\s*\{((?:[^{}]++|\{[^{}]*+\})*+)\}"
    pattern = re.compile(rf"\\({names})(?![A-Za-z])(?:{argument})?(?:{argument})?")

    def written(found: re.Match[str]) -> str:
        count, body = macros[found[1]]
        given = [found[2], found[3]]
        for number in range(count):
            body = body.replace(f"#{number + 1}", given[number] or "")
        rest = "".join(f"{{{value}}}" for value in given[count:] if value is not None)
        return f"{body} {rest}" if not count and not rest else body + rest

    longest = 10 * len(text) + 100_000
    for _ in range(3):
        expanded = pattern.sub(written, text)
        if expanded == text or len(expanded) > longest:
            break
        text = expanded
    return text
