"""`mynah`: parse, call, and tell an error in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import cyclopts

from mynah import __version__
from mynah.errors import MynahError

#: command -> (function, one line about it, examples)
COMMANDS = {
    "build": (
        "mynah.cli.build:build",
        "Turn files of text or chat into a model, with an honest report.",
        """mynah build chats.csv
mynah build support.csv --minutes 3 --speaker-column author --assistant helpdesk
mynah build faq.jsonl --size micro --name faq
mynah build book.txt --minutes 10 --set plan.model.n_layer=6
mynah build --sample en --minutes 3""",
    ),
    "chat": (
        "mynah.cli.talk:chat",
        "Talk to a model.",
        """mynah chat runs/chats
echo "Where is my parcel?" | mynah chat runs/chats""",
    ),
    "generate": (
        "mynah.cli.talk:generate",
        "Continue a text.",
        """mynah generate runs/book --prompt "It was a"
mynah generate runs/book --prompt "It was a" --temperature 0 --max-tokens 40""",
    ),
}

HELP = "A person's own text and chat logs in, a talking language model out, on their own machine."
EXAMPLES = """mynah build chats.csv      # everything: data report, tokenizer, n-grams, model, evaluation
mynah chat runs/chats      # talk to it
mynah generate runs/chats --prompt Dear"""


def make_app() -> cyclopts.App:
    """Return the command-line application; commands are imported when they are called."""
    app = cyclopts.App(
        name="mynah",
        help=HELP,
        help_format="markdown",
        help_epilogue=_examples(EXAMPLES),
        version=__version__,
        print_error=False,
        exit_on_error=False,
        help_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for name, (target, summary, examples) in COMMANDS.items():
        app.command(target, name=name, help=summary, help_epilogue=_examples(examples))
    return app


def _examples(lines: str) -> str:
    """Return examples as Markdown that keeps its lines."""
    return "Examples:\n\n" + "\n".join(f"    {line}" for line in lines.splitlines())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 if all went well, 2 with one line on stderr if not."""
    try:
        make_app()(arguments)
    except cyclopts.CycloptsError as error:
        _fail(" ".join(str(error).split()) + "; see mynah --help")
    except MynahError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of our output went away (`| head`); there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> None:
    print(f"mynah: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
