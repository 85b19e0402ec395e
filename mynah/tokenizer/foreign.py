"""What the files of somebody else's model say of its special tokens and its chat template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.errors import ArtifactError

TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
)
CHAT_TEMPLATE = "chat_template.jinja"
#: Larger templates are not read: the longest in use are some 20 kB.
LARGEST_TEMPLATE = 1 << 18
#: For models that came without one: plain words, and what ends a text after each reply.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'system': 'System', 'user': 'User', 'assistant': 'Assistant'}[message['role']] + ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class Foreign:
    """The tokenizer's files of a Hugging Face directory, as they came, and what they decide."""

    #: tokenizer.json, with the post-processor that Mynah leaves aside
    tokenizer: str
    #: tokenizer_config.json
    config: dict[str, Any]
    #: in Jinja; None if the model came without
    template: str | None
    #: what begins a text
    bos: int
    #: what ends a text, and a reply
    eos: int
    #: ids at which generation ends, `eos` among them
    stops: tuple[int, ...]
    #: what the tokenizer puts before every text by itself
    begins: tuple[int, ...] = ()
    #: special tokens by the names that templates ask for them: bos_token, eos_token, ...
    named: dict[str, str] = field(default_factory=dict)

    def save(self, directory: Path) -> None:
        """Write the files again; what stood in config.json goes into generation_config.json.

        Raises:
            ArtifactError: if they cannot be written.
        """
        artifacts.write_text(directory / TOKENIZER, self.tokenizer)
        config = {key: value for key, value in self.config.items() if key != "chat_template"}
        artifacts.write_json(directory / TOKENIZER_CONFIG, config)
        said = {
            "bos_token_id": self.bos,
            "eos_token_id": [self.eos, *(i for i in self.stops if i != self.eos)],
        }
        artifacts.write_json(directory / GENERATION_CONFIG, said)
        if self.template is not None:
            artifacts.write_text(directory / CHAT_TEMPLATE, self.template)


def read_foreign(
    directory: Path, id_of: Callable[[str], int | None], token_of: Callable[[int], str | None]
) -> Foreign:
    """Read a directory's tokenizer files.

    Nothing is guessed: the beginning of a text is the tokenizer's bos_token, or else the id that generation_config.json
    or config.json names; its end likewise, and generation ends at every id that one of them names. Where none names a
    beginning, texts begin with the last of those ids, as GPT-2's do: the first is often the end of a turn only.

    Args:
        directory: with tokenizer.json.
        id_of: the id of a token, None if there is no such token.
        token_of: the token of an id.

    Raises:
        ArtifactError: if a file is missing or damaged, or no file names what ends a text.
    """
    config = _object(directory / TOKENIZER_CONFIG)
    model, generation = _object(directory / "config.json"), _object(directory / GENERATION_CONFIG)
    named = {}
    for key, value in config.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(text, str):
            named[key] = text

    def ids(name: str) -> list[int]:
        found: list[int] = []
        for said in (id_of(named[name]) if name in named else None, generation, model):
            value = said.get(f"{name}_id") if isinstance(said, dict) else said
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, int) and one not in found and token_of(one) is not None:
                    found.append(one)
        return found

    begins, ends = ids("bos_token"), ids("eos_token")
    if not ends:
        raise ArtifactError(
            f"{directory}: no eos_token in {TOKENIZER_CONFIG}, {GENERATION_CONFIG} or config.json that the tokenizer "
            "knows; expected the token that ends a text"
        )
    eos = ends[0]
    named.setdefault("eos_token", token_of(eos) or "")
    return Foreign(
        tokenizer=(directory / TOKENIZER).read_text(encoding="utf-8"),
        config=config,
        template=read_template(directory, config),
        bos=begins[0] if begins else ends[-1],
        eos=eos,
        stops=tuple(ends),
        named=named,
    )


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    read = artifacts.read_json(path)
    if not isinstance(read, dict):
        raise ArtifactError(f"{path}: expected a JSON object, found {type(read).__name__}")
    return read


def read_template(directory: Path, config: dict[str, Any]) -> str | None:
    """Return the default template: of a file of its own, or of tokenizer_config.json, where several have names.

    Raises:
        ArtifactError: if it is larger than any in use.
    """
    path = directory / CHAT_TEMPLATE
    if path.is_file():
        if path.stat().st_size > LARGEST_TEMPLATE:
            raise ArtifactError(
                f"{path}: {path.stat().st_size:,} bytes; expected at most {LARGEST_TEMPLATE:,}"
            )
        return path.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):
        found = next(
            (t.get("template") for t in found if isinstance(t, dict) and t.get("name") == "default"), None
        )
    if isinstance(found, str) and len(found) > LARGEST_TEMPLATE:
        raise ArtifactError(
            f"{directory / TOKENIZER_CONFIG}: a chat template of {len(found):,} characters; expected at most "
            f"{LARGEST_TEMPLATE:,}"
        )
    return found if isinstance(found, str) else None
