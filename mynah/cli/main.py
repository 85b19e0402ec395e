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
mynah build chats.csv --prior ngram
mynah build --sample en --minutes 3""",
    ),
    "pretrain": (
        "mynah.cli.build:pretrain",
        "Train on all text, without fine-tuning on replies.",
        """mynah pretrain book.txt --minutes 10
mynah pretrain chats.csv --minutes 3 --prior ngram""",
    ),
    "tune": (
        "mynah.cli.tune:tune",
        "Fit a model to a task: chat, classify, translate or generate; or show what it would learn.",
        """mynah tune chats.csv --task chat --base smollm2
mynah tune reviews.csv --task classify --how full --minutes 15
mynah tune pairs.tsv --task translate --minutes 15
mynah tune letters/ --task generate
mynah tune chats.csv --show 5""",
    ),
    "classify": (
        "mynah.cli.classify:classify",
        "Say which class texts are of, by a run that learned it.",
        """mynah build reviews.csv
mynah classify runs/reviews "The room was cold and loud."
mynah classify runs/reviews --file new.txt --json > out.jsonl
cat new.txt | mynah classify runs/reviews""",
    ),
    "translate": (
        "mynah.cli.translate:translate",
        "Translate texts, by a run that learned it from pairs.",
        """mynah build pairs.tsv --minutes 15
mynah translate runs/pairs "A man is reading a book."
mynah translate runs/pairs --file letters.txt --glossary terms.csv > letters.de.txt
echo "Ein Hund schläft." | mynah translate runs/pairs --to en""",
    ),
    "evaluate": (
        "mynah.cli.evaluate:evaluate",
        "Measure a model: on what was held out, on other texts, on benchmark files; beside others.",
        """mynah evaluate runs/shop
mynah evaluate runs/shop --beside runs/shop-before --beside smollm2
mynah evaluate smollm2 letters.txt blimp/ lambada.jsonl
mynah evaluate smollm2 mmlu/test/astronomy_test.csv --shots 5 --items 100
mynah evaluate runs/shop --questions facts.jsonl --json""",
    ),
    "report": (
        "mynah.cli.report:report",
        "Write a run's page anew.",
        "mynah report runs/shop",
    ),
    "compare": (
        "mynah.cli.compare:compare",
        "Judge replies of models side by side without seeing whose they are.",
        """mynah compare runs/shop runs/shop-before --keep judged.jsonl
mynah compare runs/shop runs/other smollm2 --prompts questions.txt --count 40
mynah compare runs/shop runs/other --judge http://127.0.0.1:8080/v1 --judge-model large""",
    ),
    "plan": (
        "mynah.cli.plan:plan",
        "Predict what training takes before it is begun: time, memory, cost; and which size to take.",
        """mynah plan runs/shop --minutes 10
mynah plan --tokens 20M
mynah plan --hardware h100 --count 8 --size gpt3-6.7b --tokens 300B --price 2.5
mynah plan --hardware h100 --count 1024 --tensor-parallel 8 --size gpt3-175b --tokens 300B""",
    ),
    "explain": (
        "mynah.cli.explain:explain",
        "Explain why a model says what it says: token by token, and one token in depth.",
        """mynah explain runs/shop "When do you open?"
mynah explain runs/shop "When do you open?" -o why.html
mynah explain runs/book "It was a dark and stormy" --at 3
mynah explain smollm2 "The capital of France is" --reply Paris --against "The capital of Spain is\"""",
    ),
    "diagnose": (
        "mynah.cli.diagnose:diagnose",
        "Find what is wrong with a run: its curves, its text, its network; and what to do next.",
        """mynah diagnose runs/shop
mynah diagnose runs/shop --language zh
mynah diagnose runs/shop --json""",
    ),
    "serve": (
        "mynah.cli.serve:serve",
        "Speak OpenAI's interface over HTTP for runs and bases.",
        """mynah serve runs/demo
mynah serve runs/shop runs/support smollm2 --port 8090
mynah serve runs/shop --host 0.0.0.0 --key-file keys.txt --allow-host bot.example.org""",
    ),
    "train": (
        "mynah.cli.train:train",
        "Train a model from token shards by a recipe, by one process or many.",
        """mynah train recipes/gpt2-tiny.toml -o runs/tiny
mynah train recipe.toml -o runs/large --set train.steps=2000 --compile
mynah train recipe.toml -o runs/large --processes 4 --elastic
mynah train --dry-run --world 64
torchrun --nproc-per-node 8 -m mynah.train recipe.toml -o runs/large""",
    ),
    "base list": (
        "mynah.cli.base:list_",
        "Open models that can be started from: those here, and those known.",
        "mynah base list",
    ),
    "base add": (
        "mynah.cli.base:add",
        "Fetch an open model once, check it, and keep it.",
        """mynah base add smollm2
mynah base add model.gguf --name mine
mynah base add runs/book
mynah base add folder-with-config-and-safetensors
mynah base add HuggingFaceTB/SmolLM2-360M-Instruct@main""",
    ),
    "base show": (
        "mynah.cli.base:show",
        "Where a base came from, its licence and shape; its files against their hashes.",
        "mynah base show smollm2",
    ),
    "base remove": (
        "mynah.cli.base:remove",
        "Remove a base from this machine.",
        "mynah base remove smollm2",
    ),
    "teach": (
        "mynah.cli.teach:teach",
        "Teach a bot new answers without training, or take some back.",
        """mynah teach runs/shop more.csv
mynah teach runs/shop --question "Do you sell skis?" --reply "Only in winter."
mynah teach runs/shop --remove chats.csv:118
mynah teach runs/shop --remove-speaker "Ann Lee\"""",
    ),
    "unanswered": (
        "mynah.cli.unanswered:unanswered",
        "What a bot could not answer, grouped: the list of what to write next.",
        """mynah chat runs/shop --keep-unanswered kept.jsonl
mynah unanswered runs/shop kept.jsonl
mynah unanswered runs/shop kept.jsonl -o to_write.csv
mynah teach runs/shop to_write.csv""",
    ),
    "collect": (
        "mynah.cli.data:collect",
        "Read sources of any kind into records, and account for every row.",
        """mynah collect chats.csv -o data/chats
mynah collect WhatsApp.zip --me Ann -o data/ann
mynah collect support/ -o data/support
mynah collect https://docs.example.org/ --depth 3 -o data/docs
mynah collect shop.db --query "SELECT question, answer FROM faq" -o data/faq""",
    ),
    "clean": (
        "mynah.cli.data:clean",
        "Clean collected records: repair, filter, drop repeats, replace personal data.",
        """mynah clean data/chats -o data/clean
mynah clean data/chats -o data/clean --personal pseudonym --keep name
mynah clean data/web -o data/clean --language en --language zh --quality drop --near""",
    ),
    "split": (
        "mynah.cli.data:split",
        "Hold records out, so that nothing alike stands on both sides.",
        """mynah split data/clean -o data/split
mynah split data/clean -o data/split --by time --held-out 0.05
mynah split data/clean -o data/split --decontaminate test.jsonl""",
    ),
    "data report": (
        "mynah.cli.data:report",
        "Show what is in collected or cleaned records: a page, and JSON.",
        """mynah data report data/clean
mynah data report runs/chats""",
    ),
    "data show": (
        "mynah.cli.data:show",
        "Print records, or what was dropped and why.",
        """mynah data show data/clean --count 3
mynah data show data/clean --dropped
mynah data show data/clean --tokens runs/chats""",
    ),
    "data diff": (
        "mynah.cli.data:diff",
        "Compare two folders of records: what a changed setting does.",
        """mynah data diff data/clean data/clean-near""",
    ),
    "ngram train": (
        "mynah.cli.ngram:train",
        "Count n-grams and estimate a model.",
        """mynah ngram train book.txt -o book.ng
mynah ngram train news.txt.gz -o news.arpa --order 5 --memory 2G
mynah ngram train 小说.txt -o novel.ng --unit chars --order 4
mynah ngram train data/chats-clean -o chats.ng --tokenizer runs/chats
cat *.txt | mynah ngram train - -o all.ng --prune 0 0 1 --compact""",
    ),
    "ngram score": (
        "mynah.cli.ngram:score",
        "Perplexity and bits per byte of a text; token by token if wanted.",
        """mynah ngram score book.ng other.txt
echo "it was a dark night" | mynah ngram score book.ng - --tokens
mynah ngram score runs/chats other.txt --json""",
    ),
    "ngram generate": (
        "mynah.cli.ngram:generate",
        "Draw sentences, or continue one.",
        """mynah ngram generate book.ng --count 5
mynah ngram generate book.ng --prompt "It was" --temperature 0.8 --top-k 40 --seed 1""",
    ),
    "ngram query": (
        "mynah.cli.ngram:query",
        "The most likely next tokens.",
        """mynah ngram query book.ng "It was a"
mynah ngram query runs/chats "How do I" --count 5""",
    ),
    "ngram prune": (
        "mynah.cli.ngram:prune",
        "Leave out the n-grams that hardly matter.",
        """mynah ngram prune book.ng -o small.ng --threshold 1e-8
mynah ngram prune news.arpa -o small.arpa --threshold 1e-7""",
    ),
    "ngram convert": (
        "mynah.cli.ngram:convert",
        "Write a model as ARPA, or in Mynah's own form.",
        """mynah ngram convert book.ng -o book.arpa
mynah ngram convert news.arpa.gz -o news.ng --compact""",
    ),
    "ngram info": (
        "mynah.cli.ngram:info",
        "Orders, counts, discounts and size of a model.",
        """mynah ngram info book.ng
mynah ngram info news.arpa --json""",
    ),
    "chat": (
        "mynah.cli.talk:chat",
        "Talk to a model.",
        """mynah chat runs/chats
echo "Where is my parcel?" | mynah chat runs/chats
mynah chat runs/shop --sources
mynah chat runs/shop --answers strict --wrong-at-most 1% --json < questions.txt
mynah chat smollm2""",
    ),
    "export": (
        "mynah.cli.export:export",
        "Write a model for other programs: transformers, llama.cpp, Ollama, vLLM.",
        """mynah export runs/book -o book-hf
mynah export runs/chats -o chats.gguf
mynah export smollm2 -o smollm2.gguf --quant q8_0
mynah export runs/chats -o chats-adapter --adapter
mynah export runs/chats -o chats-onnx --onnx""",
    ),
    "generate": (
        "mynah.cli.talk:generate",
        "Continue a text.",
        """mynah generate runs/book --prompt "It was a"
mynah generate runs/book --prompt "It was a" --temperature 0 --max-tokens 40
mynah generate runs/letters --prompt "Dear Ann," --count 5 --no-copy 12""",
    ),
}

#: commands of two words -> one line about the first
GROUPS = {
    "base": "Open models to start from: list, add, show, remove.",
    "data": "Look at records: report, show, diff.",
    "ngram": "N-gram language models: train, score, generate, query, prune, convert, info.",
}
GROUP_EXAMPLES = {
    "base": """mynah base list
mynah base add smollm2
mynah build chats.csv --base smollm2""",
    "data": """mynah data report data/clean
mynah data show data/clean --dropped
mynah data diff data/clean data/clean-near""",
    "ngram": """mynah ngram train book.txt -o book.ng
mynah ngram score book.ng other.txt
mynah ngram generate book.ng --count 3""",
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
    groups: dict[str, cyclopts.App] = {}
    for name, (target, summary, examples) in COMMANDS.items():
        group, _, last = name.rpartition(" ")
        at = app
        if group:
            at = groups.setdefault(
                group,
                cyclopts.App(name=group, help=GROUPS[group], help_epilogue=_examples(GROUP_EXAMPLES[group])),
            )
        at.command(target, name=last, help=summary, help_epilogue=_examples(examples))
    for inner in groups.values():
        app.command(inner)
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
    process = f"process {os.environ['RANK']}: " if os.environ.get("RANK", "0") != "0" else ""  # of several
    print(f"mynah: {process}{' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
