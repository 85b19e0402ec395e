"""A web site on loopback: robots.txt, sitemap, depth, redirections, resuming."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from mynah.data.collect.collector import Collector
from mynah.data.collect.crawl import links, normal_url
from mynah.data.records import Document, Rejected
from mynah.data.sources import CollectConfig
from mynah.errors import DataError

WORDS = (
    "<p>This is a paragraph about the {} of the house, and it is long enough to be taken for text.</p>" * 4
)


class Site(BaseHTTPRequestHandler):
    """Answers from `pages`: path -> (status, type, body, headers); counts what is asked for."""

    pages: ClassVar[dict[str, tuple[int, str, str, dict[str, str]]]] = {}
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        Site.asked[self.path] += 1
        status, kind, body, headers = Site.pages.get(self.path, (404, "text/plain", "", {}))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_address[1]}"

    def page(what: str, *more: str) -> tuple[int, str, str, dict[str, str]]:
        anchors = "".join(f"<a href='{href}'>x</a>" for href in more)
        return (
            200,
            "text/html",
            f"<html><body><article>{WORDS.replace('{}', what)}</article>{anchors}</body></html>",
            {},
        )

    Site.asked = Counter()
    Site.pages = {
        "/robots.txt": (200, "text/plain", "User-agent: *\nDisallow: /private\nCrawl-delay: 0", {}),
        "/sitemap.xml": (
            200, "text/xml", f"<urlset><loc>{host}/attic</loc><loc>http://elsewhere/x</loc></urlset>", {},
        ),
        "/": page("hall", "/kitchen#top", "/private/safe", "http://127.0.0.2/other", "/picture.png", "mailto:a@b.org"),
        "/kitchen": page("kitchen", "/cellar", "/"),
        "/cellar": page("cellar", "/well"),
        "/well": page("well"),
        "/attic": page("attic"),
        "/picture.png": (200, "image/png", "\x89PNG", {}),
        "/private/safe": page("safe"),
        "/away": (302, "text/plain", "", {"Location": "http://127.0.0.2/other"}),
        "/moved": (301, "text/plain", "", {"Location": "/kitchen"}),
    }  # fmt: skip
    yield host
    server.shutdown()
    server.server_close()


def read(url: str, cache: Path | None = None, **web: object) -> tuple[list[str], dict[str, str]]:
    """Return the paths of the pages read, and path -> reason of what was left out."""
    config = CollectConfig.model_validate({"web": {"delay_seconds": 0, **web}})
    items = list(Collector([url], config, cache=cache).items())
    read_ = ["/" + i.place.split("/", 3)[3] for i in items if isinstance(i, Document)]
    return read_, {"/" + i.file.split("/", 3)[3]: i.reason for i in items if isinstance(i, Rejected)}


def test_a_site_is_read_to_a_depth_and_as_robots_txt_asks(site: str) -> None:
    pages, left = read(f"{site}/", depth=2)
    assert pages == ["/", "/attic", "/kitchen", "/cellar"]
    assert left == {"/private/safe": "robots.txt asks not to read it", "/picture.png": "no text: image/png"}
    assert Site.asked["/private/safe"] == 0
    assert "/well" not in Site.asked
    assert max(Site.asked.values()) == 1


def test_pages_and_depth_are_limits(site: str) -> None:
    assert read(f"{site}/", depth=0)[0] == ["/"]
    assert read(f"{site}/", depth=9, pages=3)[0] == ["/", "/attic", "/kitchen"]


def test_redirections_stay_on_the_host(site: str) -> None:
    Site.pages["/"] = (
        200,
        "text/html",
        "<a href='/away'>x</a><a href='/moved'>x</a>" + WORDS.replace("{}", "hall"),
        {},
    )
    pages, left = read(f"{site}/", depth=1)
    assert "/moved" in pages
    assert left["/away"] == "status 302"


def test_a_walk_goes_on_without_fetching_again(site: str, tmp_path: Path) -> None:
    read(f"{site}/", tmp_path, pages=2)
    (tmp_path / "pages.jsonl").open("a").write('{"url": "cut off in the mid')
    assert read(f"{site}/", tmp_path, depth=2)[0] == ["/", "/attic", "/kitchen", "/cellar"]
    assert {path: n for path, n in Site.asked.items() if n > 1} == {"/robots.txt": 2}


def test_links_with_spaces_and_letters_and_behind_redirections(site: str) -> None:
    anchors = "<a href='my file.html'>x</a><a href='/\u4e2d\u6587'>x</a><a href='/docs'>x</a><a href='http://['>x</a>"
    page = f"<html><article>{WORDS.replace('{}', 'x')}</article>"
    Site.pages["/"] = (200, "text/html; charset=utf-8", page + anchors, {})
    Site.pages["/my%20file.html"] = Site.pages["/%E4%B8%AD%E6%96%87"] = (200, "text/html", page, {})
    Site.pages["/docs"] = (301, "text/plain", "", {"Location": "/docs/"})
    Site.pages["/docs/"] = (200, "text/html", page + "<a href='a.html'>x</a>", {})
    Site.pages["/docs/a.html"] = (200, "text/html", page, {})
    pages, _ = read(f"{site}/", depth=2)
    assert {"/my%20file.html", "/%E4%B8%AD%E6%96%87", "/docs", "/docs/a.html"} <= set(pages)


def test_no_answer_is_one_line() -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/: no answer"):
        read("http://127.0.0.1:9/")


def test_links_and_urls() -> None:
    body = "<a href='b?c=1#d'>x</a><a href='/e' rel='nofollow'>x</a><a href='javascript:f()'>x</a>"
    body += "<a href='//h.org'>x</a>"
    assert links(body, "https://A.org/x/") == ["https://a.org/x/b?c=1", "https://h.org/"]
    assert normal_url("HTTP://A.org") == "http://a.org/"
