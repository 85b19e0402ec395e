"""What people say of replies, kept in the files that `mynah teach`, `mynah unanswered` and `mynah build` take."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.data.records import Message
from mynah.serve.errors import ApiError
from mynah.stages import RunPaths

#: A file of opinions grows to so many bytes: whoever may ask must not fill the disk.
MOST_BYTES = 64 << 20


@dataclass
class Feedback:
    """Keeps what is said of one run's replies.

    Args:
        folder: the run.
    """

    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(
        self,
        messages: Sequence[Message],
        reply: str,
        good: bool,
        better: str | None,
        places: Sequence[str] = (),
    ) -> list[str]:
        """Keep an opinion; return the names of the files that it went into.

        Args:
            messages: the conversation, the user's message that was replied to last.
            reply: what was replied.
            good: whether it was right.
            better: what should have been replied; None: nobody said.
            places: lines of the log that the reply rested on.

        Raises:
            ArtifactError: if it cannot be written.
            ApiError: if too much is kept already.
        """
        paths, asked = RunPaths(self.folder), messages[-1].content
        found: dict[Path, dict[str, Any]] = {}
        said = better if better is not None else reply if good else None
        if said is not None:
            turns = [{"role": message.role, "content": message.content} for message in messages]
            found[paths.feedback] = {"messages": [*turns, {"role": "assistant", "content": said}]}
        if better is not None and better != reply:
            found[paths.corrections] = {
                "prompt": asked, "chosen": better, "rejected": reply, "places": list(places),
            }  # fmt: skip
        if not good and better is None:
            before = [message.content for message in messages[:-1]]
            found[paths.found_bad] = {"question": asked, "before": before}
        with self._lock:
            if any(path.is_file() and path.stat().st_size > MOST_BYTES for path in found):
                raise ApiError(
                    f"what is kept of replies has grown beyond {MOST_BYTES >> 20} MB: take it away", 507
                )
            for path, row in found.items():
                artifacts.append(path, (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))
        return [path.name for path in found]
