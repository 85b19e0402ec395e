"""The last failure to make a folder of records, so that who looks for them there is told why they are missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mynah import artifacts
from mynah.errors import ArtifactError, MynahError


@contextmanager
def noted(command: str, out: Path) -> Iterator[None]:
    """Keep what a command says when it fails to make a folder, and forget it when it makes it."""
    note = _note_of(out)
    try:
        yield
    except MynahError as error:
        with suppress(ArtifactError, OSError):  # the failure itself is what must be told
            note.parent.mkdir(parents=True, exist_ok=True)
            said = {
                "command": command,
                "error": str(error),
                "time": datetime.now(UTC).isoformat(timespec="minutes"),
            }
            artifacts.write_json(note, said)
        raise
    with suppress(OSError):
        note.unlink(missing_ok=True)


def failure_of(out: Path) -> str:
    """Return in words why a folder is not there, if the last command that was to make it failed; else nothing."""
    try:
        said = artifacts.read_json(_note_of(out))
        return f"mynah {said['command']} into it failed ({said['time']}): {said['error']}"
    except (ArtifactError, KeyError, TypeError):
        return ""


def _note_of(out: Path) -> Path:
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    return artifacts.user_folder() / "failures" / f"{name}.json"
