"""What somebody wrote in a message, without what a mail program put under or over it: quotes, headers, signatures."""

from __future__ import annotations

import re

#: A line over a message that is quoted, as mail programs write it in many languages.
_QUOTE_HEAD = re.compile(
    r"^[ \t>*]*(?:"
    r"On [^\n]{5,200}(?:\n[^\n]{0,100})? wrote:"
    r"|Am [^\n]{5,200}(?:\n[^\n]{0,100})? schrieb[^\n]{0,100}:"
    r"|Le [^\n]{5,200}(?:\n[^\n]{0,100})? a écrit\s?:"
    r"|El [^\n]{5,200}(?:\n[^\n]{0,100})? escribió\s?:"
    r"|Em [^\n]{5,200}(?:\n[^\n]{0,100})? escreveu\s?:"
    r"|Il [^\n]{5,200}(?:\n[^\n]{0,100})? ha scritto\s?:"
    r"|Op [^\n]{5,200}(?:\n[^\n]{0,100})? schreef[^\n]{0,100}:"
    r"|(?:At |On )?[^\n]{0,60}\d{4}[^\n]{0,80}<[^<>\s]+@[^<>\s]+>,?\s*(?:wrote|写道|寫道)?\s?[:：]"
    r"|(?:在|于)?[^\n]{5,120}(?:写道|寫道)\s?[:：]"
    r"|-{2,}\s?(?:Original Message|Original Appointment|Forwarded message|Forwarded by[^\n]{0,80}|"
    r"原始邮件|原始郵件|转发邮件|转发的邮件|回复的原邮件|Ursprüngliche Nachricht|Weitergeleitete Nachricht|"
    r"Message d'origine|Message transféré|Mensaje original|Mensagem original|Messaggio originale)\s?-{2,}[^\n]*"
    r"|Begin forwarded message:|#{2}- Please type your reply above this line -#{2}[^\n]*"
    r")[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
#: Headers of a quoted message, as Outlook and Chinese clients write them: who, then when, to whom, what.
_FROM = r"[ \t>*_]*(?:From|Von|De|Da|发件人|發件人|寄件者|Van|Från|Fra|От)\*?\s?[:：]\*?[^\n]{0,300}"
_MORE = (
    r"[ \t>*_]*(?:Sent|Date|To|Cc|Subject|Gesendet|Datum|An|Betreff|Envoyé|À|A|Objet|Enviado(?: el| em)?|Fecha|Para|"
    r"Asunto|Assunto|Inviato|Oggetto|发送时间|发送日期|日期|时间|收件人|抄送|主题|主旨|傳送時間|寄件日期|收件者|副本|Verzonden|Aan|"
    r"Onderwerp|Importance|Reply-To)\*?\s?[:：]\*?[^\n]{0,400}"
)
_QUOTED_HEADERS = re.compile(
    rf"^(?:[ \t]*[_-]{{5,}}[ \t]*\n\s*)?{_FROM}\n+(?:{_MORE}(?:\n[ \t]+[^\n]*)*\n+){{1,6}}",
    re.MULTILINE | re.IGNORECASE,
)
#: What phones write under a message.
_SENT_BY = re.compile(
    r"^[ \t]*(?:Sent from my [^\n]{2,40}|Sent from (?:Mail|Outlook|Yahoo)[^\n]{0,60}|"
    r"(?:Get|获取|下载) Outlook for [^\n]{2,60}|"
    r"Von meinem [^\n]{2,30} gesendet|Envoyé de mon [^\n]{2,30}|Enviado desde mi [^\n]{2,30}|"
    r"Enviado do meu [^\n]{2,30}|发自我的[^\n]{2,30}|從我的[^\n]{2,20}傳送|发送自[^\n]{2,30})[ \t.]*$",
    re.IGNORECASE | re.MULTILINE,
)

#: A closing, with what stands under it: a name and how to reach it, no sentence.
_CLOSING = re.compile(
    r"^[ \t]*(?:(?:with |my )?(?:best|kind|kindest|warm|warmest|many)?[ ]?(?:regards|wishes)|all the best"
    r"|(?:yours )?(?:sincerely|faithfully|truly)(?: yours)?|respectfully|cordially"
    r"|mit (?:freundlichen|besten|herzlichen) grü(?:ß|ss)en|(?:freundliche|viele|beste|liebe|herzliche) grü(?:ß|ss)e"
    r"|mfg|(?:bien )?cordialement|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente|atenciosamente"
    r"|cordiali saluti|distinti saluti|met vriendelijke groet(?:en)?"
    r"|此致|敬礼|顺祝商祺|祝商祺|祝好|此致敬礼)[,.!，。！ \t]*\n"
    r"(?P<under>(?:[ \t]*\n)*[^\n]{1,60}(?:\n[^\n]{0,90}){0,8})\s*\Z",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_UNDER = re.compile(r"[^\n]*(?:[.!?]\s+[A-Z]\w+ \w+|[。！？]|\?)")


def own_words(text: str) -> str:
    """Return a message without what it quotes and without its signature."""
    text = text.replace("\r\n", "\n")
    for mark in (_QUOTE_HEAD, _QUOTED_HEADERS):
        found = mark.search(text)
        if found and text[: found.start()].strip():
            text = text[: found.start()]
    lines: list[str] = []
    for line in text.split("\n"):
        if line in ("-- ", "--") and lines:
            break
        if not line.startswith(">"):
            lines.append(line)
    return without_closing(_SENT_BY.sub("", "\n".join(lines)).strip())


def without_closing(text: str) -> str:
    """Return a message without "Best regards" and the name, title and address under it."""
    found = _CLOSING.search(text)
    if found is None or not text[: found.start()].strip() or _SENTENCE_UNDER.search(found["under"]):
        return text
    return text[: found.start()].rstrip()


def quotes(text: str) -> bool:
    """Whether a text quotes another message under its own words."""
    return any(
        found is not None and bool(text[: found.start()].strip())
        for found in (_QUOTE_HEAD.search(text), _QUOTED_HEADERS.search(text))
    )
