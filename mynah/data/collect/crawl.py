"""Read a web site: politely (robots.txt, one request at a time, a pause between), to a depth, resumable.

Beside a database, this is all of Mynah's data stages that opens a connection, and only to the host that was named.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import urllib.robotparser
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mynah import __version__
from mynah.data.markup import parse_html
from mynah.data.readers.web_page import read_page
from mynah.data.records import Document, Record, Rejected
from mynah.data.sources import Reading
from mynah.errors import DataError, MynahError

AGENT = f"mynah/{__version__}"
TIMEOUT_SECONDS = 20.0
LARGEST_PAGE = 8 << 20
#: A server that says "too many requests" is asked again this often, after at most so many seconds.
RETRIES, LONGEST_WAIT = 3, 60.0
MOST_SITEMAPS = 20
#: Characters that stand in a URL as they are; % begins one that is quoted already.
_SAFE = "/%:@!$&'()*+,;=~-._?"
#: Pages without any answer, one after the other, after which the walk is cut off: the network is gone.
MOST_SILENT = 5


class CutOff(MynahError):
    """A walk could not go on; what was fetched is kept."""


#: In the cache: one line a page that was fetched.
PAGES = "pages.jsonl"


@dataclass(frozen=True)
class Page:
    """What a server answered."""

    url: str
    depth: int
    #: 0: no answer
    status: int
    kind: str = ""
    body: str = ""
    reason: str = ""
    #: where a redirection led
    place: str = ""


def read(url: str, reading: Reading, cache: Path | None = None) -> Iterator[Record | Rejected]:
    """Yield the main text of the pages of a site, the nearest to `url` first.

    Args:
        url: where to begin; only pages of its host are read.
        reading: settings (`collect.web`) and the account.
        cache: a folder for what was fetched: a walk that was cut off goes on there without fetching it again.

    Raises:
        DataError: if the first page cannot be fetched.
    """
    reading.tell(form="a web site", layout="main text of each page")
    crawl = _Crawl(url, reading, cache)
    for page in crawl.pages():
        reading.source.rows += 1
        if page.status != 200:
            if page.depth == 0 and not page.status:
                raise DataError(f"{url}: no answer ({page.reason})")
            yield Rejected(page.url, 0, page.reason or f"status {page.status}", bad=False)
            continue
        text = read_page(page.body.encode(), "utf-8").text if "html" in page.kind else page.body
        if text and text.strip():
            yield Document(text.strip(), page.url)
        else:
            yield Rejected(page.url, 0, "a page without text", bad=False)


class _Crawl:
    """One walk over one host."""

    def __init__(self, url: str, reading: Reading, cache: Path | None) -> None:
        self.start = normal_url(url)
        self.host = urllib.parse.urlsplit(self.start).netloc
        self.web = reading.config.web
        self.last_request = 0.0
        self.silent = 0
        self.file = cache / PAGES if cache is not None else None
        self.known: dict[str, Page] = {}
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.known = {page.url: page for page in _cached(self.file)}
        self.opener = urllib.request.build_opener(_SameHost(self.host))
        self.robots = self._robots()
        self.pause = max(self.web.delay_seconds, float(self.robots.crawl_delay(AGENT) or 0))

    def pages(self) -> Iterator[Page]:
        """Yield pages in the order in which they are reached, the start first, then what the sitemap names."""
        queue: deque[tuple[str, int]] = deque([(self.start, 0)])
        seen = {self.start}
        if self.web.depth > 0:
            for url in self._sitemap():
                if url not in seen:
                    seen.add(url)
                    queue.append((url, 1))
        count = 0
        while queue and count < self.web.pages:
            url, depth = queue.popleft()
            if not self.robots.can_fetch(AGENT, url):
                yield Page(url, depth, 403, reason="robots.txt asks not to read it")
                continue
            page = self.known.get(url) or self._fetch(url, depth)
            count += 1
            yield page
            if page.status == 200 and "html" in page.kind and depth < self.web.depth:
                for link in links(page.body, page.place or url):
                    if link not in seen and urllib.parse.urlsplit(link).netloc == self.host:
                        seen.add(link)
                        queue.append((link, depth + 1))
        for url, depth in queue:
            yield Page(url, depth, 0, reason=f"not fetched: --pages {self.web.pages} was reached")

    def _fetch(self, url: str, depth: int) -> Page:
        for attempt in range(RETRIES + 1):
            page, wait = self._request(url, depth)
            if page.status not in (0, 429, 503) or attempt == RETRIES:
                break
            time.sleep(min(LONGEST_WAIT, wait))
        self.silent = 0 if page.status else self.silent + 1
        if self.silent == MOST_SILENT:
            raise CutOff(
                f"{url}: no answer {MOST_SILENT} times in a row; run the same command again to go on"
            )
        self.known[url] = page
        if self.file is not None and page.status:  # what had no answer is asked again another time
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(page), ensure_ascii=False) + "\n")
        return page

    def _request(self, url: str, depth: int) -> tuple[Page, float]:
        """Return a page, and how long a busy server asks to wait."""
        time.sleep(max(0.0, self.last_request + self.pause - time.monotonic()))
        try:
            request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"})
            with self.opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                data = answer.read(LARGEST_PAGE + 1)
                place = answer.geturl()
                kind = answer.headers.get_content_type()
                charset = answer.headers.get_content_charset()
                packed = answer.headers.get("Content-Encoding") == "gzip"
        except urllib.error.HTTPError as error:
            after = error.headers.get("Retry-After", "") if error.headers else ""
            return Page(url, depth, error.code, reason=f"status {error.code}"), float(
                after
            ) if after.isdigit() else 5.0
        except (OSError, ValueError, http.client.HTTPException) as error:  # no name, no connection, no HTTP
            return Page(url, depth, 0, reason=type(error).__name__), 0.0
        finally:
            self.last_request = time.monotonic()
        if len(data) > LARGEST_PAGE:
            return Page(url, depth, 413, reason=f"more than {LARGEST_PAGE >> 20} MiB"), 0.0
        if not (
            kind in ("text/html", "application/xhtml+xml") or kind == "text/plain" or kind.endswith("/xml")
        ):
            return Page(url, depth, 415, reason=f"no text: {kind}"), 0.0
        return Page(url, depth, 200, kind, _decoded(data, charset, packed), place=place), 0.0

    def _robots(self) -> urllib.robotparser.RobotFileParser:
        """Read robots.txt; without one all is allowed, and if it cannot be had for a fault of the server, nothing."""
        parts = urllib.parse.urlsplit(self.start)
        robots = urllib.robotparser.RobotFileParser()
        self.pause = 0.0
        page, _ = self._request(f"{parts.scheme}://{parts.netloc}/robots.txt", 0)
        if page.status == 200:
            robots.parse(page.body.splitlines())
        elif page.status >= 500:
            robots.parse(["User-agent: *", "Disallow: /"])
        else:
            robots.parse([])
        robots.modified()
        return robots

    def _sitemap(self) -> Iterator[str]:
        """Yield the pages of this host that its sitemaps name."""
        parts = urllib.parse.urlsplit(self.start)
        todo = deque(self.robots.site_maps() or [f"{parts.scheme}://{parts.netloc}/sitemap.xml"])
        read = 0
        while todo and read < MOST_SITEMAPS:
            read += 1
            url = normal_url(todo.popleft())
            if urllib.parse.urlsplit(url).netloc != self.host:
                continue
            page = self.known.get(url) or self._fetch(url, 0)
            if page.status != 200:
                continue
            places = _places(page.body)
            if "<sitemapindex" in page.body[:2000]:
                todo.extend(places)
            else:
                yield from (
                    u for u in map(normal_url, places) if urllib.parse.urlsplit(u).netloc == self.host
                )


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirections on the same host alone."""

    def __init__(self, host: str) -> None:
        self.host = host

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urllib.parse.urlsplit(newurl).netloc != self.host:
            raise urllib.error.HTTPError(newurl, code, "leads to another host", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def normal_url(url: str) -> str:
    """Return a URL without its fragment, with a path, spaces and letters beyond ASCII quoted."""
    parts = urllib.parse.urlsplit(url.strip())
    path, query = (urllib.parse.quote(part, safe=_SAFE) for part in (parts.path or "/", parts.query))
    return urllib.parse.urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, query, ""))


def links(body: str, base: str) -> list[str]:
    """Return where the links of a page lead, each once, those that ask not to be followed left out."""
    tree = parse_html(body.encode("utf-8", "replace"), "utf-8")
    if tree is None:
        return []
    found: dict[str, None] = {}
    for anchor in tree.iter("a"):
        href = anchor.get("href")
        if not href or "nofollow" in (anchor.get("rel") or ""):
            continue
        try:
            url = normal_url(urllib.parse.urljoin(base, href))
        except ValueError:
            continue
        if url.startswith(("http://", "https://")):
            found[url] = None
    return list(found)


def _decoded(data: bytes, charset: str | None, packed: bool) -> str:
    if packed:
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, LARGEST_PAGE)
        except zlib.error:
            return ""
    for encoding in (charset, "utf-8"):
        try:
            return data.decode(encoding or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("cp1252", "replace")


def _places(body: str) -> list[str]:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
    try:
        root = etree.fromstring(body.encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return []
    return [place.text.strip() for place in root.iter("{*}loc") if place.text] if root is not None else []


def _cached(path: Path) -> Iterator[Page]:
    """Yield the pages fetched before; a last line that was cut off is forgotten."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield Page(**json.loads(line))
        except (ValueError, TypeError):
            continue
