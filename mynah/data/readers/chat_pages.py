"""Messages as a platform's own interface gives them, page by page: what Feishu's and Teams' answers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mynah.data.layout import Layout
from mynah.data.records import Rejected
from mynah.data.sources import Reading


def tell_layout(reading: Reading) -> Layout:
    """Say how such messages become conversations, and return the layout of their rows."""
    reading.tell(
        form="a chat app's export",
        layout=f"threads of replies, else cut at {reading.config.gap_hours:g} hours of silence",
    )
    return Layout(
        "messages",
        text="text",
        speaker="speaker",
        time="time",
        chat="chat",
        thread="thread",
        assistant=reading.config.columns.assistant,
    )


def gather(
    name: str,
    pages: Iterable[tuple[int, Any] | Rejected],
    messages_in: Callable[[Any], list[Any] | None],
    messages: list[Any],
) -> Iterator[Rejected]:
    """Add the messages of all pages to a list; yield what holds none.

    Args:
        name: of the file, for places.
        pages: numbered values.
        messages_in: returns the messages of a value; None: it holds none.
        messages: is added to.
    """
    for page in pages:
        if isinstance(page, Rejected):
            yield page
        elif (found := messages_in(page[1])) is None:
            yield Rejected(name, page[0], "no messages", bad=False)
        else:
            messages += found
