"""The files of the page, read once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """A file as it is sent."""

    content: bytes
    media_type: str
    #: an ETag
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their paths; the page itself is "/"."""
    found = {}
    for folder, prefix in (("page", "/page/"), ("page/vendor", "/page/vendor/")):
        for entry in files("mynah.serve").joinpath(folder).iterdir():
            kind = _TYPES.get(PurePosixPath(entry.name).suffix)
            if kind is not None:
                content = entry.read_bytes()
                path = "/" if entry.name == "index.html" else prefix + entry.name
                found[path] = PageFile(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return found
