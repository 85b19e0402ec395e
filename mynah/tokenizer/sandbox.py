"""Where other people's chat templates run: in Jinja's sandbox, with as much work as a template may make.

The sandbox keeps a template from reaching Python. It does not keep it from going around for hours, or filling
the memory: so each turn of a loop and each text that is made costs something, and what a rendering may cost is bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

#: What a rendering may cost, and for each character of the conversation besides; a character that is made costs one.
ALLOWED, ALLOWED_EACH = 10_000_000, 200
#: What a turn of a loop costs, whatever is done in it.
_TURN = 100
#: Methods and filters that make texts of any length out of short ones, and that no template needs.
_NEVER = {"center", "expandtabs", "format", "format_map", "ljust", "rjust", "translate", "wordwrap", "zfill"}

_left: ContextVar[list[int]] = ContextVar("what a rendering may still cost")


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Let one rendering of a conversation of so many characters run within bounds."""
    token = _left.set([ALLOWED + ALLOWED_EACH * size])
    try:
        yield
    finally:
        _left.reset(token)


def _spend(cost: int) -> None:
    from jinja2 import TemplateError

    left = _left.get()
    left[0] -= cost
    if left[0] < 0:
        raise TemplateError("it goes around too often, or writes too much")


def _counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _spend(_TURN)
        yield item


def _joined(parts: list[Any]) -> str:
    texts = [str(part) for part in parts]
    _spend(sum(map(len, texts)))
    return "".join(texts)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple) else 1


def _replaced_size(text: str, old: Any = "", new: Any = "", *_: Any) -> int:
    return len(text) + text.count(str(old)) * len(str(new))


def _joined_size(separator: str, items: Any) -> int:
    return sum(len(str(item)) + len(separator) for item in items)


@cache
def environment() -> jinja2.Environment:
    """Return Jinja as `transformers` sets it up: in a sandbox, blocks trimmed, with what templates ask it for."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.visitor import NodeTransformer

    class Counting(NodeTransformer):
        """Puts a counter into every loop and every joining of texts."""

        def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (as Jinja calls it)
            self.generic_visit(node)
            node.iter = nodes.Filter(node.iter, "counted", [], [], None, None)
            return node

        def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
            self.generic_visit(node)
            return nodes.Filter(nodes.List(node.nodes), "joined", [], [], None, None)

    class Bounded(ImmutableSandboxedEnvironment):
        """The sandbox, and what each operation costs."""

        intercepted_binops = frozenset({"*", "**", "+", "%"})

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            parsed = super()._parse(source, name, filename)
            counting: nodes.Template = Counting().visit(parsed)
            return counting.set_environment(self)  # type: ignore[return-value]

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "*":
                by = next((n for n in (left, right) if isinstance(n, int)), 1)
                _spend(max(_size(left), _size(right)) * max(1, by if _size(left) + _size(right) > 2 else 1))
            elif operator == "**" or (operator == "%" and isinstance(left, str)):
                raise TemplateError(f"operator {operator} is not allowed")
            else:
                _spend(_size(left) + _size(right))
            return super().call_binop(context, operator, left, right)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return not (isinstance(obj, str) and attr in _NEVER) and super().is_safe_attribute(
                obj, attr, value
            )

        def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
            text, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
            if isinstance(text, str):
                sizes: dict[str, Callable[..., int]] = {"replace": _replaced_size, "join": _joined_size}
                _spend(sizes[name](text, *args) if name in sizes else len(text))
            return super().call(context, obj, *args, **kwargs)

    class Generation(Extension):
        """`{% generation %}` says what is the assistant's, which is found in another way here."""

        tags = {"generation"}  # noqa: RUF012 (as Jinja declares it)

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> Any:
        raise TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **more: Any) -> str:  # Jinja's own is for HTML
        written = json.dumps(value, ensure_ascii=ensure_ascii, **more)
        _spend(len(written))
        return written

    def replace(text: Any, old: Any, new: Any, count: int = -1) -> str:
        _spend(_replaced_size(str(text), old, new))
        return str(text).replace(str(old), str(new), count)

    def join(items: Any, separator: Any = "", attribute: str | None = None) -> str:
        texts = [str(item if attribute is None else made.getitem(item, attribute)) for item in items]
        _spend(_joined_size(str(separator), texts))
        return str(separator).join(texts)

    made = Bounded(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    for name in _NEVER & made.filters.keys():
        del made.filters[name]
    made.filters |= {
        "tojson": to_json,
        "counted": _counted,
        "joined": _joined,
        "replace": replace,
        "join": join,
    }
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made
