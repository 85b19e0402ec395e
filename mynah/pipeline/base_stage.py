"""Which open model a build starts from, where nobody says so (`base = "auto"`), and what that choice rests on."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.language import language_of
from mynah.data.records import Conversation, Record
from mynah.data.store import count_records, read_records
from mynah.device import available_memory
from mynah.interop.bases import KNOWN, Base, KnownBase, list_bases
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.plan.repeats import DISTINCT_REPLIES
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.plan.speed import adapter_speed

#: Records that are looked at for their language and their replies, and how far apart at most.
LOOKED_AT, FURTHEST = 1000, 100
#: A language is the log's if at least this share of its characters is in it: short lines are often told wrong.
LEAST_SHARE = 0.2
#: An adapter must get to read so many tokens. Where replies repeat, a network from random weights learns to tell which
#: question asks for which in minutes, and an adapter that has read fewer is right less often; what people say once, a
#: base says better at once (docs/log.md).
LEAST_TOKENS = {"repeating": 60_000, "new": 40_000}
#: What a build with a base does besides training takes about so much of a minute for each minute, and at least so long.
BESIDES, LEAST_BESIDES = 0.25, 60.0
#: A base held, its adapter, and what a step keeps, in bytes for each parameter, and besides.
BYTES_EACH, BYTES_BESIDES = 6, 1 << 30


def languages_of(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the ISO codes of the languages of records, the most written first; none where it cannot be told."""
    written: Counter[str] = Counter()
    for record in records:
        text = "\n".join(record.texts)
        if code := language_of(text).code:
            written[code] += len(text)
    total = sum(written.values())
    return tuple(code for code, n in written.most_common() if n >= LEAST_SHARE * total)


def covers(base: Base | KnownBase, languages: Sequence[str]) -> bool:
    """Return whether a base speaks languages, as far as is known of it."""
    return bool(languages) and ("*" in base.languages or set(languages) <= set(base.languages))


def _choose(build: Build, out: Path) -> Counts:
    folder = build.paths.records_of("train")
    apart = min(FURTHEST, max(1, count_records(folder) // LOOKED_AT))
    records = list(itertools.islice(read_records(folder), 0, apart * LOOKED_AT, apart))
    name, why = _best(
        build, languages_of(records), [reply for record in records for reply in _replies(record)]
    )
    artifacts.write_json(out / build.paths.base_choice.name, {"base": name, "why": why})
    return {}


def _replies(record: Record) -> list[str]:
    if not isinstance(record, Conversation) or not record.can_teach_replies:
        return []
    return [message.content for message in record.messages if message.role == "assistant"]


def _best(build: Build, languages: Sequence[str], replies: Sequence[str]) -> tuple[str | None, str]:
    """Return the name of the largest base that fits, if any, those that talk first, and a sentence."""
    spoken = ", ".join(languages) or "no language that can be told"
    repeat = bool(replies) and len(set(replies)) <= DISTINCT_REPLIES * len(replies)
    # One that does not talk yet learns it from replies that are new faster than a new network does; where they repeat,
    # a new network tells questions apart sooner (docs/log.md).
    speaking = [base for base in list_bases() if covers(base, languages)]
    here = [base for base in speaking if base.talks or not repeat]
    if not here:
        at_hand = {base.name for base in speaking}
        known = (base.name for base in KNOWN.values() if covers(base, languages) and base.name not in at_hand)
        why = f"no base here speaks the log's language ({spoken})"
        if speaking:
            why = (
                f"where replies repeat these learn faster than {speaking[0].name}, which does not talk yet "
                f"(--base {speaking[0].name} takes it)"
            )
        way = f"; an open model that knows it: mynah base add {name}" if (name := next(known, None)) else ""
        return None, f"from random weights: {why}{way}"
    seconds = 60 * (build.recipe.plan.minutes or DEFAULT_MINUTES)
    seconds -= max(LEAST_BESIDES, BESIDES * seconds)
    wanted = LEAST_TOKENS["repeating" if repeat else "new"]
    available = available_memory(build.device)
    refused = ""
    for base in sorted(here, key=lambda base: (bool(replies) and not base.talks, -base.config.n_params())):
        n = base.config.n_params()
        if available is not None and BYTES_EACH * n + BYTES_BESIDES > available:
            refused = f"{base.name} needs {(BYTES_EACH * n + BYTES_BESIDES) / 1e9:.1f} GB of memory"
        elif (needed := wanted / adapter_speed(n, build.device)) > seconds:
            minutes = max((needed + LEAST_BESIDES) / 60, needed / 60 / (1 - BESIDES))
            refused = f"{base.name} needs about --minutes {math.ceil(minutes)} here"
        else:
            return (
                base.name,
                f"{base.name} knows the log's language ({spoken}); --base none starts from random weights",
            )
    return None, f"from random weights: {refused}"


def _say(build: Build, manifest: Manifest) -> Iterator[str]:
    yield artifacts.read_json(build.paths.base_choice)["why"]


def _asked(build: Build) -> bool:
    """Whether a base is to be chosen, and nothing is asked for that only a new network has."""
    recipe = build.recipe
    return (
        recipe.base == "auto"
        and recipe.prior.kind == "none"
        and recipe.plan.replies
        and not (recipe.plan.size or recipe.plan.model or recipe.tokenizer.vocab_size)
    )


def _bases_here(build: Build) -> dict[str, str]:
    return {base.name: artifacts.sha256_of_file(base.directory / artifacts.MANIFEST) for base in list_bases()}


def _settings(build: Build) -> dict[str, Any]:
    return {"minutes": build.recipe.plan.minutes, "device": str(build.device)}


BASE = Stage(
    "base",
    "choosing what to start from",
    _choose,
    needs=("split",),
    settings=_settings,
    files=_bases_here,
    say=_say,
    wanted=_asked,
)
