"""Small sound files of every kind that is read, made here: what `fuzz_readers.py` damages."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

Sample = tuple[str, bytes]
_TALK = [
    ("Where is my parcel?", "It left Leeds on Monday, 3/12."),
    ('And the lamp, "the red one"?', "Tomorrow, before 10:30."),
]
_ROWS = [(f"{q} ({i})", a) for i in range(15) for q, a in _TALK]


def _csv(delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    rows = ["id,question,answer,created_at"] + [
        f'{i},"{q.replace(chr(34), chr(34) * 2)}","{a}",2024-01-{i % 28 + 1:02} 10:00'
        for i, (q, a) in enumerate(_ROWS)
    ]
    return "\n".join(rows).replace(",", delimiter).encode(encoding)


def _messages_csv() -> bytes:
    rows = ["id,author_id,inbound,created_at,text,in_response_to"]
    rows += [
        f"{i},u{i % 3},{i % 2 == 0},Tue Oct 31 22:{i % 60:02}:47 +0000 2017,line {i},{i - 1 if i % 4 else ''}"
        for i in range(40)
    ]
    return "\n".join(rows).encode()


def tables() -> list[Sample]:
    gbk = "问题,回答\n" + "".join(f"你好吗{i}？,我很好，谢谢你，{i}天后发货。\n" for i in range(30))
    labels = "".join(f"{('spam', 'ham')[i % 2]}\tmessage number {i} of the list\n" for i in range(40))
    pairs = "".join(f"The dog number {i} sleeps in the house.\t第{i}只狗在屋里睡觉。\n" for i in range(30))
    return [("a.csv", _csv()), ("b.tsv", _csv("\t")), ("c.csv", _csv(";", "utf-16")), ("d.csv", gbk.encode("gb18030")),
            ("m.csv", _messages_csv()), ("l.txt", labels.encode()), ("p.txt", pairs.encode())]  # fmt: skip


def json_files() -> list[Sample]:
    talks = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in _ROWS
    ]
    flat = [{"instruction": q, "input": "", "output": a} for q, a in _ROWS]
    dialogues = [
        {
            "dialogue_id": i,
            "turns": [{"speaker": "USER", "utterance": q}, {"speaker": "SYSTEM", "utterance": a}],
        }
        for i, (q, a) in enumerate(_ROWS)
    ]
    squad = {
        "data": [
            {
                "paragraphs": [
                    {"context": "Ann is here.", "qas": [{"question": "Who?", "answers": [{"text": "Ann"}]}]}
                ]
                * 5
            }
        ]
    }
    classes = {"train": [["hello", "greet"]] * 10, "test": [["bye", "leave"]] * 5}
    return [("a.jsonl", "\n".join(map(json.dumps, talks)).encode()), ("b.json", json.dumps(flat, indent=1).encode()),
            ("c.json", json.dumps(dialogues).encode()), ("d.json", json.dumps(squad).encode()), ("e.json", json.dumps(classes).encode())]  # fmt: skip


def chats() -> list[Sample]:
    whatsapp = "".join(
        f"[{i % 28 + 1:02}/0{i % 9 + 1}/24, 9:{i % 60:02}:07 PM] {('Ann', '王五')[i % 2]}: line {i}\nmore\n"
        for i in range(40)
    )
    android = "".join(
        f"{i % 28 + 1}/0{i % 9 + 1}/2024, 21:{i % 60:02} - {('Ann', 'Bo')[i % 2]}: <Media omitted>\n"
        if i % 7 == 0
        else f"{i % 28 + 1}/0{i % 9 + 1}/2024, 21:{i % 60:02} - Ann: hi {i}\n"
        for i in range(40)
    )
    telegram = {
        "name": "Ann",
        "type": "personal_chat",
        "messages": [
            {
                "id": i,
                "type": "message",
                "date": "2024-05-01T10:00:00",
                "date_unixtime": str(1_700_000_000 + i),
                "from": f"P{i % 3}",
                "from_id": f"user{i % 3}",
                "text": [{"type": "bold", "text": "x"}, " y"],
                "reply_to_message_id": i - 2,
            }
            for i in range(30)
        ],
    }
    instagram = {
        "participants": [{"name": "A"}],
        "messages": [
            {
                "sender_name": "Zo\u00c3\u00ab",
                "timestamp_ms": 1_700_000_000_000 + i,
                "content": "Gr\u00c3\u00bc\u00c3\u009fe",
            }
            for i in range(30)
        ],
    }
    discord = {
        "guild": {"name": "g"},
        "channel": {"name": "c"},
        "messages": [
            {
                "id": str(i),
                "type": "Reply",
                "timestamp": "2024-05-01T10:00:00+00:00",
                "content": f"m {i}",
                "author": {"id": "1", "name": f"n{i % 4}"},
                "reference": {"messageId": str(i - 1)},
            }
            for i in range(30)
        ],
    }
    slack = io.BytesIO()
    with zipfile.ZipFile(slack, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "users.json", json.dumps([{"id": "U1", "name": "ann", "profile": {"display_name": "Ann"}}])
        )
        archive.writestr("channels.json", "[]")
        archive.writestr(
            "general/2024-01-01.json",
            json.dumps(
                [
                    {"type": "message", "user": "U1", "text": "hi <@U1>", "ts": f"{1_700_000_000 + i}.1"}
                    for i in range(20)
                ]
            ),
        )
    return [("w.txt", whatsapp.encode()), ("a.txt", android.encode()), ("t.json", json.dumps(telegram).encode()), ("i.json", json.dumps(instagram).encode()),
            ("d.json", json.dumps(discord).encode()), ("s.zip", slack.getvalue()), ("messages.html", telegram_html())]  # fmt: skip


def telegram_html() -> bytes:
    """A chat as Telegram exports it to be looked at."""
    said = "".join(
        f'<div class="message default clearfix"><div class="body"><div class="date details" title="01.02.2023 10:{i:02}:00 UTC+01:00">'
        f'10:{i:02}</div><div class="from_name">{("Ann", "Bo")[i % 2]}</div><div class="text">words {i}<br>more</div></div></div>'
        for i in range(40)
    )
    return f'<!DOCTYPE html><html><body><div class="page_wrap"><div class="history">{said}</div></div></body></html>'.encode()


def blocks_and_days() -> list[Sample]:
    qq = "消息对象:小明\n\n" + "".join(
        f"2021-01-01 10:{i:02}:00 {('小明(12345)', '我')[i % 2]}\n第{i}句\n\n" for i in range(40)
    )
    discord = "".join(
        f"[01-Jan-21 10:{i:02} AM] n{i % 3}\nwords {i}\n\n{{Reactions}}\nx\n\n" for i in range(40)
    )
    imessage = "".join(
        f"Jan 01, 2021 10:{i:02}:00 AM\n{('Me', '+1555')[i % 2]}\nwords {i}\n\n" for i in range(40)
    )
    line = "2021/01/01（五）\n" + "".join(
        f"上午10:{i:02}\t{('小明', '我')[i % 2]}\t第{i}句\n" for i in range(40)
    )
    kakao = "--------------- 2021년 1월 1일 금요일 ---------------\n" + "".join(
        f"[A{i % 2}] [오전 10:{i:02}] words {i}\n" for i in range(40)
    )
    return [("q.txt", qq.encode()), ("d.txt", discord.encode()), ("i.txt", imessage.encode()), ("l.txt", line.encode("utf-16")), ("k.txt", kakao.encode())]  # fmt: skip


def lines() -> list[Sample]:
    persona = "".join(
        f"{1 + i % 4} {('your persona: x', f'question {i}')[i % 4 > 0]}"
        + (f"\tanswer {i}\n" if i % 4 else "\n")
        for i in range(60)
    )
    douban = "".join(
        f"{i % 2}\t" + "\t".join(f"turn {i} {k}" for k in range(2 + i % 4)) + "\n" for i in range(60)
    )
    eou = "".join(f"hello {i} __eou__ hi there __eou__\n" for i in range(60))
    trec = "".join(f"{('DESC:manner', 'HUM:ind')[i % 2]} What is {i} ?\n" for i in range(60))
    toutiao = "".join(f"65{i}_!_10{i % 2}_!_news_{i % 2}_!_标题{i}_!_词\n" for i in range(60))
    talk = "".join(f"{('Agent', 'Customer')[i % 2]}: words {i}\n" for i in range(60))
    srt = "".join(f"{i}\n00:00:{i:02},000 --> 00:00:{i:02},900\n<i>words {i}.</i>\n\n" for i in range(60))
    po = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain\\n"\n\n' + "".join(
        f'#: a:{i}\nmsgid "message {i}"\nmsgstr "消息 {i}"\n\n' for i in range(40)
    )
    return [("p.txt", persona.encode()), ("d.txt", douban.encode()), ("e.txt", eou.encode()), ("t.label", trec.encode()), ("n.txt", toutiao.encode()),
            ("a.txt", talk.encode()), ("f.srt", srt.encode()), ("g.po", po.encode())]  # fmt: skip


def trees() -> list[Sample]:
    nodes = {
        str(i): {
            "message": {
                "author": {"role": ("user", "assistant")[i % 2]},
                "content": {"parts": [f"words {i}"]},
            },
            "parent": str(i - 1),
        }
        for i in range(20)
    }
    reply: dict[str, object] = {"text": "end", "role": "assistant", "replies": []}
    for i in range(20):
        reply = {
            "text": f"words {i}",
            "role": ("assistant", "prompter")[i % 2],
            "rank": 0,
            "replies": [reply],
        }
    skype = {"userId": "8:me", "conversations": [{"id": "8:a", "displayName": "A", "MessageList": [
        {"displayName": None, "originalarrivaltime": f"2021-01-01T10:{i:02}:00Z", "messagetype": "RichText", "content": f"<b>w</b> {i}", "from": f"8:p{i % 2}"}
        for i in range(30)]}]}  # fmt: skip
    notebook = {
        "cells": [{"cell_type": "code", "source": ["x = 1\n", f"y = {i}"]} for i in range(20)],
        "nbformat": 4,
    }
    values = ([{"mapping": nodes, "current_node": "19"}] * 3, [{"prompt": reply}] * 3, skype, notebook)
    return [(f"{name}.json", json.dumps(value).encode()) for name, value in zip("cosn", values, strict=True)]


def irc() -> list[Sample]:
    return [("a.log", "".join(f"[09:{i % 60:02}] <n{i % 5}> n{(i + 1) % 5}: words {i}\n=== x has joined\n" for i in range(40)).encode()),
            ("b.log", "".join(f"2020-01-31 09:{i % 60:02}:00\tn{i % 5}\twords {i}\n" for i in range(40)).encode())]  # fmt: skip


def yaml() -> list[Sample]:
    return [
        (
            "a.yml",
            (
                "categories:\n- x\nconversations:\n" + "".join(f"- - {q!r}\n  - {a!r}\n" for q, a in _ROWS)
            ).encode(),
        )
    ]


def xml() -> list[Sample]:
    sms = "".join(
        f'<sms address="+49{i % 3}" type="{i % 2 + 1}" date="{1_700_000_000_000 + i}" body="text {i} &amp; more" contact_name="Ann"/>'
        for i in range(30)
    )
    corpus = "".join(
        f'<message id="{i}"><text>短信 {i} 内容</text><source><userProfile><age>20</age></userProfile></source></message>'
        for i in range(30)
    )
    wiki = "".join(
        f"<page><title>T{i}</title><ns>0</ns><revision><text>'''Bold''' [[link|word]] {{{{t|a=1}}}} text {i}.</text></revision></page>"
        for i in range(10)
    )
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
        + "]>"
    )
    return [("s.xml", f'<?xml version="1.0"?><smses>{sms}</smses>'.encode()), ("c.xml", f'<?xml version="1.0"?><smsCorpus>{corpus}</smsCorpus>'.encode()),
            ("w.xml", f"<mediawiki>{wiki}</mediawiki>".encode()), ("bomb.xml", f"<?xml version='1.0'?>{bomb}<x><r><t>&j; words</t></r><r><t>more words here</t></r></x>".encode())]  # fmt: skip


def columnar() -> list[Sample]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"question": [q for q, _ in _ROWS], "answer": [a for _, a in _ROWS]})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write(table)
    return [("a.parquet", parquet.getvalue()), ("b.arrow", arrow.getvalue())]


def excel() -> list[Sample]:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["question", "answer"])
    for row in _ROWS:
        book.active.append(list(row))
    book.save(out)
    cells = "".join(
        "<table:table-row>" + "".join(f"<table:table-cell office:value-type='string'><text:p>{cell}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in (("question", "answer"), *_ROWS)
    )  # fmt: skip
    names = " ".join(
        f"xmlns:{n}='urn:oasis:names:tc:opendocument:xmlns:{n}:1.0'" for n in ("office", "table", "text")
    )
    sheet = io.BytesIO()
    with zipfile.ZipFile(sheet, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f"<office:document-content {names}><office:body><office:spreadsheet><table:table table:name='s'>{cells}"
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
    return [("a.xlsx", out.getvalue()), ("b.ods", sheet.getvalue())]


def sqlite() -> list[Sample]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE faq (question TEXT, answer TEXT)")
            database.executemany("INSERT INTO faq VALUES (?, ?)", _ROWS)
        return [("a.db", path.read_bytes())]


def html() -> list[Sample]:
    paragraphs = "".join(
        f"<p>This is paragraph {i} of a page, and it says <b>something</b> of interest &amp; more.</p>"
        for i in range(20)
    )
    page = f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>T</title></head><body><nav><a href='/'>Home</a></nav><article><h1>T</h1>{paragraphs}<table><tr><td>a<td>b</table></article></body></html>"
    return [("a.html", page.encode()), ("b.htm", page.encode("utf-16"))]


def books() -> list[Sample]:
    chapter = (
        "<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>One</h1>"
        + "<p>It was a dark night, and the lamp was out.</p>" * 20
        + "</body></html>"
    )
    epub, docx, odt = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(epub, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            "<container xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><rootfiles><rootfile full-path='o/c.opf'/></rootfiles></container>",
        )
        archive.writestr(
            "o/c.opf",
            "<package xmlns='http://www.idpf.org/2007/opf'><manifest><item id='a' href='a.xhtml' media-type='application/xhtml+xml'/></manifest><spine><itemref idref='a'/></spine></package>",
        )
        archive.writestr("o/a.xhtml", chapter)
    words = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    with zipfile.ZipFile(docx, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(
            "word/document.xml",
            f"<w:document xmlns:w='{words}'><w:body>{'<w:p><w:r><w:t>A paragraph of words.</w:t></w:r></w:p>' * 20}</w:body></w:document>",
        )
    text = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    with zipfile.ZipFile(odt, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr(
            "content.xml", f"<d xmlns:text='{text}'>{'<text:p>A paragraph of words.</text:p>' * 20}</d>"
        )
    rtf = (
        "{\\rtf1\\ansi{\\fonttbl{\\f0 Times;}}\\f0 " + "A line with caf\\'e9 and \\u20320?.\\par " * 40 + "}"
    )
    return [("a.epub", epub.getvalue()), ("b.docx", docx.getvalue()), ("c.odt", odt.getvalue()), ("d.rtf", rtf.encode())]  # fmt: skip


def pdf() -> list[Sample]:
    """A PDF of two pages written by hand, so that its parts can be damaged one by one."""
    stream = (
        b"BT /F1 12 Tf 72 720 Td 14 TL "
        + b" ".join(f"(Line {i} of a page of plain words.) Tj T*".encode() for i in range(30))
        + b" ET"
    )
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R 5 0 R] /Count 2 >>"]
    for number in (4, 6):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 7 0 R >> >> >>"
            % number
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    data += (
        b"xref\n0 8\n0000000000 65535 f \n%strailer\n<< /Size 8 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (table, len(data))
    )
    return [("a.pdf", data)]


def latex() -> list[Sample]:
    body = "".join(
        f"\\section{{Part {i}}} Words with $x_{i}^2$ and \\emph{{more}} \\cite{{a}} \\N{{}}.\n\n"
        for i in range(20)
    )
    return [
        (
            "a.tex",
            (
                "\\documentclass{article}\\newcommand{\\N}[1]{natural #1}\\begin{document}"
                + body
                + "\\end{document}"
            ).encode(),
        )
    ]


def warc() -> list[Sample]:
    page = b"<html><body>" + b"<p>This is a paragraph of a page in an archive.</p>" * 20 + b"</body></html>"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    record = (
        b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://a.org/\r\nWARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n"
        % (len(http), http)
    )
    head = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
    arc = (
        b"filedesc://a.arc 0.0.0.0 20240101000000 text/plain %d\n%s\nhttp://a.org/ 1.2.3.4 20240101000000 text/html %d\n%s\n"
        % (len(head), head, len(http), http)
    )
    return [
        ("a.warc", record * 3),
        ("a.warc.gz", gzip.compress(record) * 3),
        ("a.arc", arc),
        ("w.warc.wet", record.replace(b"\r\n", b"\n")),
    ]


def mail() -> list[Sample]:
    def message(i: int) -> str:
        return f"From ann Mon Jan  1 10:0{i % 10}:00 2024\nFrom: Ann <ann@example.com>\nTo: Bo <bo@example.com>\nSubject: =?utf-8?q?Hi_{i}?=\nDate: Mon, 1 Jan 2024 10:0{i % 10}:00 +0000\nMessage-ID: <{i}@x>\nIn-Reply-To: <{i - 1}@x>\nContent-Type: text/plain; charset=utf-8\n\nHello number {i},\nhow are you?\n> quoted\n-- \nAnn\n\n"

    multipart = 'From: a@b.org\nTo: c@d.org\nSubject: x\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="q"\n\n--q\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>Hi=20there</p>\n--q--\n'
    return [("a.mbox", "".join(map(message, range(10))).encode()), ("b.eml", multipart.encode())]


def text() -> list[Sample]:
    words = "It was the best of times, it was the worst of times.\n\n" * 60
    return [
        ("a.txt", words.encode()),
        ("b.txt", ("天地玄黄，宇宙洪荒。\n\n" * 60).encode("gb18030")),
        ("c.md", ("# One\n\n" + words).encode()),
        ("d.txt", words.encode("utf-16")),
    ]


def compressed() -> list[Sample]:
    bomb = gzip.compress(b"0" * (80 << 20))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../a.csv", _csv())
        archive.writestr("deep/b.jsonl", json_files()[0][1])
        archive.writestr("bomb.txt", b"0" * (80 << 20))
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../etc/passwd")
    import pyarrow

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zst"
        with pyarrow.CompressedOutputStream(str(path), "zstd") as out:
            out.write(_csv())
        zst = path.read_bytes()
    return [
        ("a.csv.gz", gzip.compress(_csv())),
        ("bomb.txt.gz", bomb),
        ("a.csv.xz", lzma.compress(_csv())),
        ("a.csv.bz2", bz2.compress(_csv())),
        ("a.csv.zst", zst),
        ("a.zip", inner.getvalue()),
    ]


SAMPLES: dict[str, Callable[[], list[Sample]]] = {
    "table": tables, "json": json_files, "trees": trees, "chat": chats, "blocks": blocks_and_days, "lines": lines, "irc": irc, "yaml": yaml, "xml": xml, "columnar": columnar, "excel": excel,
    "sqlite": sqlite, "html": html, "books": books, "pdf": pdf, "latex": latex, "warc": warc, "mail": mail, "text": text,
    "compressed": compressed,
}  # fmt: skip
