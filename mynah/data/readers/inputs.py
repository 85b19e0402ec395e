"""What there is to read: files, the files of folders, the members of archives, compressed or not.

An `Input` can be opened again and again, each time from its first byte. Nothing is ever unpacked under a name
that an archive chose, so a member called `../../etc/passwd` is only a name.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, TextIO

from mynah.errors import DataError

#: A compressed input may grow to this many bytes, or to this many times its size if that is more. Text
#: compresses up to about 20 times, a bomb a thousand times and more.
BOMB_BYTES, BOMB_RATIO = 16 << 20, 250
#: A line is cut at this many characters, so that a file of one endless line is read in bounded memory.
LONGEST_LINE = 16 << 20
_BUFFER = 1 << 18
#: How what cannot be decoded is treated, as `codecs` knows it.
MIXED = "mynah-mixed"
#: Characters that are looked at to tell what a file is.
SAMPLE = 1 << 18
#: Files that come with data and are none; they can still be named one by one.
_BESIDE = ("license", "licence", "copying", "notice", "readme", "changelog", "authors")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bz2"}
_ENDINGS = (".gz", ".zst", ".xz", ".bz2")
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, ValueError)


def _mixed(error: UnicodeError) -> tuple[str, int]:
    """Decode a single byte in UTF-8 that stands for a letter or mark of Windows-1252; what is else is U+FFFD.

    A letter stands beside a letter: the first byte of a character that was cut short in Chinese text is none.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start, end = error.object, error.start, error.end
    if error.encoding.startswith("utf-8") and end - start == 1:
        around = data[max(0, start - 1) : start] + data[end : end + 1]
        if any(byte < 128 for byte in around) and (data[start] < 0xC0 or _has_letter(around)):
            return data[start:end].decode("cp1252", "replace"), end
    return "\ufffd", end


def _has_letter(around: bytes) -> bool:
    return any(chr(byte).isalpha() and byte < 128 for byte in around)


codecs.register_error(MIXED, _mixed)


@dataclass
class Input:
    """One file to read, wherever it lies."""

    #: as people are told it: relative to the folder that was named, `archive.zip/member` in an archive
    name: str
    path: Path
    member: str | None = None
    #: what was wrong with its compression, known after it has been read
    damage: str = ""
    #: the encoding that was found, so that it is found once
    encoding: str = ""
    #: bytes of another encoding among its text, known when the encoding is
    strange_bytes: int = 0
    #: characters of its lines, known after all have been read
    characters: int = 0
    #: bytes on the disk
    size: int = 0
    #: layers of compression, outermost first
    compression: tuple[str, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        layers: list[str] = []
        for _ in range(3):
            self.compression = tuple(layers)
            head = self.head(8)
            kind = next((k for magic, k in _COMPRESSED.items() if head.startswith(magic)), None)
            if kind is None:
                break
            layers.append(kind)

    @property
    def suffix(self) -> str:
        """The ending of its name in lower case, that of a compression aside: ".csv" of "a.CSV.gz"."""
        return PurePosixPath(self._bare).suffix.lower()

    @property
    def stem(self) -> str:
        """Its name without folder and endings: "train.en" of "data/train.en.gz"."""
        return PurePosixPath(self._bare).name

    @property
    def folder(self) -> str:
        """The name of the folder it lies in; empty at the top."""
        return PurePosixPath(self.name).parent.name

    @property
    def _bare(self) -> str:
        name = self.name
        while self.compression and name.lower().endswith(_ENDINGS):
            name = name[: name.rindex(".")]
        return name

    @property
    def plain(self) -> bool:
        """Whether its bytes stand on the disk as they are."""
        return self.member is None and not self.compression

    def open(self) -> BinaryIO:
        """Return its bytes, decompressed, from the first.

        Damage ends the stream and is kept in `damage`.

        Raises:
            DataError: on reading, if it expands beyond all measure.
        """
        raw: IO[bytes]
        if self.member is None:
            raw, size = self.path.open("rb"), self.path.stat().st_size
        else:
            archive = _archive(self.path, self.path.stat().st_mtime_ns)
            info = archive.getinfo(self.member)
            raw, size = archive.open(info), info.compress_size
        if self.plain:
            return raw  # type: ignore[return-value]
        for kind in self.compression:
            raw = _decompress(raw, kind)
        return io.BufferedReader(_Bounded(raw, self, size), _BUFFER)

    def text(self, encoding: str, newline: str | None = None) -> TextIO:
        """Return its text; what cannot be decoded is taken for Windows-1252 if it can be, or becomes U+FFFD."""
        return io.TextIOWrapper(self.open(), encoding=encoding, errors=MIXED, newline=newline)

    def lines(self, encoding: str, newline: str | None = None) -> Iterator[str]:
        """Yield its lines with their ends; one too long comes in pieces of `LONGEST_LINE`."""
        count = 0
        with self.text(encoding, newline) as file:
            while line := file.readline(LONGEST_LINE):
                count += len(line)
                yield line
        self.characters = count

    def first_lines(self, encoding: str, count: int) -> list[str]:
        """Return its first lines, to tell what it is: at most `count`, and no more than `SAMPLE` characters."""
        with self.text(encoding, newline="") as file:
            text = file.read(SAMPLE)
        lines = io.StringIO(text, newline="").readlines()
        if len(text) == SAMPLE and len(lines) > 1:
            lines.pop()  # cut in the middle
        return lines[:count]

    def head(self, size: int) -> bytes:
        """Return its first bytes, at most `size`."""
        with self.open() as file:
            return file.read(size)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Yield a path for libraries that want one; what is compressed is unpacked for that long."""
        if self.plain:
            yield self.path
            return
        with tempfile.NamedTemporaryFile(suffix=self.suffix) as file:
            with self.open() as source:
                shutil.copyfileobj(source, file)
            file.flush()
            yield Path(file.name)


@lru_cache(maxsize=4)
def _archive(path: Path, changed: int) -> zipfile.ZipFile:
    """Return an opened archive, which is read by many inputs; its list of members is long to read."""
    del changed  # tells an archive from a later one of the same name
    return zipfile.ZipFile(path)


def _decompress(raw: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if kind == "xz":
        return lzma.LZMAFile(raw)
    if kind == "bz2":
        return bz2.BZ2File(raw)
    import pyarrow

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), "zstd")  # type: ignore[no-any-return]


class _Bounded(io.RawIOBase):
    """A decompressed stream that stops at damage and refuses to grow beyond all measure."""

    def __init__(self, stream: IO[bytes], source: Input, size: int) -> None:
        self.stream, self.source = stream, source
        self.read_some = getattr(stream, "read1", stream.read)
        self.limit = max(BOMB_BYTES, BOMB_RATIO * size)
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            # What stands before damage is only to be had in the pieces in which it is decompressed.
            piece = self.read_some(len(buffer))
        except _DAMAGE:
            self.source.damage = "compressed data is cut short or damaged; what came before it was read"
            return 0
        self.count += len(piece)
        if self.count > self.limit:
            raise DataError(
                f"{self.source.name}: grows to more than {self.limit >> 20:,} MiB when unpacked, which text "
                "does not do; unpack it yourself if it is what you meant"
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
        super().close()


@dataclass
class Found:
    """What lies at the paths that were named."""

    inputs: list[Input] = field(default_factory=list)
    #: files that were passed over, and why: (name, reason)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def find_inputs(paths: Sequence[Path]) -> Found:
    """List the files at paths, in folders (in order of name) and in archives; hidden ones are left out.

    Raises:
        DataError: if a named file is missing or empty, or a folder holds none.
    """
    found = Found()
    for path in paths:
        check_exists(path)
        if not path.is_dir():
            _add(path, path.name, found)
            continue
        before = len(found.inputs)
        for inside in sorted(path.rglob("*")):
            name = _shown(inside.relative_to(path).as_posix())
            if any(part.startswith(".") for part in inside.relative_to(path).parts) or inside.is_dir():
                continue
            if inside.is_symlink() or not inside.is_file():
                found.left_out.append((name, "a link or no plain file"))
            elif _is_beside(inside.name):
                found.left_out.append((name, "goes with the data and is none"))
            elif inside.stat().st_size == 0:
                found.left_out.append((name, "empty"))
            else:
                try:
                    _add(inside, name, found)
                except DataError as error:
                    found.left_out.append((name, str(error).removeprefix(f"{inside}: ")))
        if len(found.inputs) == before:
            raise DataError(f"{path}: no file in this folder that could be read")
    return found


def check_exists(path: Path) -> None:
    """Refuse what is not there.

    Raises:
        DataError: if there is no such file or folder, or the file is empty.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")


def _is_beside(name: str) -> bool:
    stem = name.lower().split(".")[0]
    return name.lower().endswith(".ids") or stem.startswith(_BESIDE) or stem.endswith(("license", "licence"))


def _shown(name: str) -> str:
    """Return a name that can be written anywhere; a file system's may hold bytes that are no text."""
    return name.encode("utf-8", "replace").decode().replace("\n", "?")


def _add(path: Path, name: str, found: Found) -> None:
    given = Input(_shown(name), path, size=path.stat().st_size)
    if given.compression or given.head(4) != b"PK\x03\x04":
        found.inputs.append(given)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*_DAMAGE, NotImplementedError):
        raise DataError(f"{path}: a ZIP archive that is cut short or damaged") from None
    if office_kind([info.filename for info in members]):
        found.inputs.append(given)
        return
    for info in sorted(members, key=lambda info: info.filename):
        if info.is_dir():
            continue
        inner = _shown(f"{name}/{_member_name(info)}")
        parts = [part for part in info.filename.split("/") if part != ".."]
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if hidden or _is_beside(PurePosixPath(info.filename).name) or info.file_size == 0:
            continue
        if info.flag_bits & 1:
            found.left_out.append((inner, "encrypted"))
        elif stat.S_ISLNK(info.external_attr >> 16):
            found.left_out.append((inner, "a link"))
        else:
            try:
                member = Input(inner, path, info.filename, size=info.compress_size)
                if member.head(4) == b"PK\x03\x04" and not office_kind(_names_inside(member)):
                    found.left_out.append((inner, "an archive inside an archive; unpack it first"))
                else:
                    found.inputs.append(member)
            except (*_DAMAGE, NotImplementedError, RuntimeError):
                found.left_out.append((inner, "a damaged member of an archive"))


def _names_inside(member: Input) -> list[str]:
    with member.local() as path, zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; one not marked as UTF-8 may be GBK, as Chinese Windows writes it."""
    if info.flag_bits & 0x800:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return info.filename.encode("cp437").decode(encoding)
        except UnicodeError:
            continue
    return info.filename


def office_kind(names: Sequence[str]) -> str | None:
    """Tell a document that is a ZIP archive by its members: "xlsx", "docx", "epub", "odt"; None: just files."""
    if "[Content_Types].xml" in names:
        if any(name.startswith("xl/") for name in names):
            return "xlsx"
        if any(name.startswith("word/") for name in names):
            return "docx"
        return "office"
    if "META-INF/container.xml" in names:
        return "epub"
    return "odt" if "content.xml" in names and "mimetype" in names else None
