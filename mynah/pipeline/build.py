"""The whole path, stage by stage: each a directory in, a directory out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.readers.inputs import check_exists
from mynah.data.records import as_conversation
from mynah.data.sources import AskSpeaker, is_url, read_sources
from mynah.data.split.split import SplitCounts, split_folder
from mynah.data.store import DROPPED, read_records
from mynah.device import pick_device
from mynah.errors import ConfigError
from mynah.evaluate.baseline import best_order
from mynah.evaluate.language_model import drawn_records
from mynah.evaluate.replies import read_questions
from mynah.evaluate.run import evaluate_run
from mynah.interop.huggingface import from_hugging_face, hash_of_directory
from mynah.model.transformer import Transformer
from mynah.model.weights import load_model, new_model
from mynah.pipeline.data_stages import clean_into, collect_into, hashes_of, judges_of, told_of
from mynah.pipeline.prior_stage import make_prior, with_prior
from mynah.pipeline.recipe import Recipe, to_toml
from mynah.pipeline.train_job import keep
from mynah.plan.budget import Plan, make_plan
from mynah.plan.settings import DEFAULT_MINUTES
from mynah.report.run_report import write_report
from mynah.stages import Reporter, Silent, Stages
from mynah.tokenizer.dataset import TokenSet, encode_to_file
from mynah.tokenizer.tokenizer import Tokenizer, choose_vocab_size
from mynah.train.loop import Session
from mynah.train.memory import available_memory, check_memory
from mynah.train.phases import pretrain, tune

#: Stages whose time is gone when the plan is made.
BEFORE_PLAN = ("collect", "clean", "split", "tokenizer", "tokens", "ngram", "prior")
#: Share of a build's minutes that evaluation and report may take, and the least in seconds.
EVALUATION_SHARE, EVALUATION_SECONDS = 0.08, 8.0
#: Sources that are described one by one.
SHOWN = 8


def build(
    sources: Sequence[Path | str],
    recipe: Recipe,
    directory: Path,
    reporter: Reporter | None = None,
    ask: AskSpeaker | None = None,
) -> dict[str, Any]:
    """Run every stage that is not done yet; return the evaluation.

    Args:
        sources: files, folders and database URLs.
        recipe: all settings.
        directory: the run; made if it is not there.
        reporter: is told how it goes.
        ask: who the assistant of a chat is, where nothing says so.

    Raises:
        MynahError: one of its kinds, if something is wrong with input, settings or the run directory.
        Interrupted: on Ctrl-C in training, after saving.
    """
    reporter = reporter or Silent()
    for source in sources:  # a missing file is told before a run directory is made for it
        if not is_url(source):
            check_exists(Path(source))
    if recipe.evaluate.questions is not None:
        read_questions(Path(recipe.evaluate.questions))  # and a wrong one before an hour of training
    if recipe.base is not None and (recipe.plan.size or recipe.plan.model):
        raise ConfigError("--base brings its own size and shape; leave out --size and plan.model")
    with artifacts.locked(directory):
        try:
            return _Build(sources, recipe, Stages(directory, recipe.seed, reporter), ask).run()
        except BaseException:
            # A build that was refused at once leaves no folder; the lock's own file goes with it.
            if {path.name for path in directory.iterdir()} <= {".lock"}:
                shutil.rmtree(directory, ignore_errors=True)
            raise


class _Build:
    """One build: its stages in order, each given what the former ones made."""

    def __init__(
        self, sources: Sequence[Path | str], recipe: Recipe, stages: Stages, ask: AskSpeaker | None
    ) -> None:
        self.sources, self.recipe, self.stages, self.ask = sources, recipe, stages, ask
        self.dir, self.reporter = stages.directory, stages.reporter
        self.device = pick_device(recipe.device)

    def run(self) -> dict[str, Any]:
        """Run all stages."""
        collected = self._collect()
        artifacts.write_text(self.dir / "recipe.toml", to_toml(self.recipe))
        cleaned = self._clean(collected)
        parts = self._split(cleaned)
        tokenizer = self._tokenizer(parts)
        tokens = self._tokens(parts, tokenizer)
        ngram = self._ngram(tokens)
        prior = self._prior(tokens, ngram)
        plan = self._plan(tokens, prior)
        base = self._pretrain(tokens, prior, plan)
        tuned = self._tune(tokens, prior, plan, base)
        evaluation = self._evaluate(parts, tokens, ngram, base, tuned)
        if self.stages.ran or not (self.dir / "report.html").is_file():
            write_report(self.dir, self.stages.timings())
        value: dict[str, Any] = artifacts.read_json(self.dir / "evaluate" / "evaluation.json")
        assert evaluation.stage == "evaluate"
        return value

    def _collect(self) -> Manifest:
        settings = self.recipe.collect.model_dump(mode="json")
        manifest = self.stages.run(
            "collect",
            settings,
            hashes_of(self.sources),
            lambda out: collect_into(
                out, self.sources, self.recipe.collect, self.ask, engine=self.recipe.engine
            ),
        )
        sources, left_out = read_sources(self.dir / "collect")
        for source in sources[:SHOWN]:
            self.reporter.note(source.describe())
        if len(sources) > SHOWN:
            self.reporter.note(f"... and {len(sources) - SHOWN} sources more")
        for name, reason in left_out[:SHOWN]:
            self.reporter.note(f"passed over: {name}: {reason}")
        if manifest.counts["rejected"]:
            where = self.dir / "collect" / DROPPED
            self.reporter.note(f"{manifest.counts['rejected']:,} rows rejected, listed in {where}")
        return manifest

    def _clean(self, collected: Manifest) -> Manifest:
        settings = self.recipe.clean.model_dump(mode="json")
        manifest = self.stages.run(
            "clean",
            settings,
            {"collect": collected.output, **judges_of(self.recipe.clean)},
            lambda out: clean_into(self.dir / "collect", out, self.recipe.clean, engine=self.recipe.engine),
        )
        dropped = told_of(manifest.counts["dropped"])
        told = f"; dropped: {dropped}" if dropped else ""
        self.reporter.note(f"{manifest.counts['kept']:,} records kept{told}")
        if self.recipe.clean.stop_words:
            self.reporter.note("stop words are removed: the bot will not write whole sentences")
        return manifest

    def _split(self, cleaned: Manifest) -> Manifest:
        settings = self.recipe.split.model_dump(mode="json")
        inputs = {"clean": cleaned.output, **hashes_of([Path(p) for p in self.recipe.split.decontaminate])}
        manifest = self.stages.run(
            "split",
            settings,
            inputs,
            lambda out: asdict(
                split_folder(self.dir / "clean", out, self.recipe.split, self.recipe.seed, self.recipe.engine)
            ),
        )
        self.reporter.note(SplitCounts(**manifest.counts).describe())
        return manifest

    def _tokenizer(self, parts: Manifest) -> Manifest:
        recipe = self.recipe
        settings: dict[str, Any] = recipe.tokenizer.model_dump(mode="json")
        inputs = {"split": parts.output}
        if recipe.base is not None:
            inputs["base"] = hash_of_directory(Path(recipe.base))

        def work(out: Path) -> dict[str, Any]:
            if recipe.base is not None:
                tokenizer = Tokenizer.from_hugging_face(Path(recipe.base))
            else:
                train = self.dir / "split" / "train"

                def texts() -> Iterator[str]:
                    for record in read_records(train):
                        yield from as_conversation(record).texts

                size = recipe.tokenizer.vocab_size or choose_vocab_size(
                    sum(len(text.encode()) for text in texts())
                )
                tokenizer = Tokenizer.train(texts(), size)
            tokenizer.save(out)
            return {"vocab_size": tokenizer.vocab_size}

        return self.stages.run("tokenizer", settings, inputs, work)

    def _tokens(self, parts: Manifest, tokenizer: Manifest) -> Manifest:
        def work(out: Path) -> dict[str, Any]:
            trained = Tokenizer.load(self.dir / "tokenizer")
            counts: dict[str, Any] = {}
            for part in ("train", "held_out"):
                records = read_records(self.dir / "split" / part)
                encoded = encode_to_file(records, trained, out / f"{part}.safetensors")
                counts[part] = {
                    "tokens": len(encoded.tokens),
                    "replies": int(encoded.reply.sum()),
                    "bytes": int(encoded.n_bytes[:, 0].sum()),
                }
            return counts

        inputs = {"split": parts.output, "tokenizer": tokenizer.output}
        manifest = self.stages.run("tokens", {}, inputs, work)
        counts = manifest.counts["train"]
        self.reporter.note(
            f"vocabulary of {tokenizer.counts['vocab_size']:,}, {counts['tokens']:,} tokens to learn "
            f"from ({counts['bytes'] / max(1, counts['tokens']):.2f} bytes a token)"
        )
        return manifest

    def _ngram(self, tokens: Manifest) -> Manifest:
        settings = {
            **self.recipe.ngram.model_dump(mode="json"),
            "max_tokens": self.recipe.evaluate.max_tokens,
        }

        def work(out: Path) -> dict[str, Any]:
            tokenizer = Tokenizer.load(self.dir / "tokenizer")
            data, held_out = self._read_tokens()
            held_out = drawn_records(held_out, self.recipe.evaluate.max_tokens)
            baseline = best_order(
                data, held_out, self.recipe.ngram, tokenizer.vocab_size, tokenizer.control.bos
            )
            baseline.model.save(out / "model.ng")
            order = baseline.model.order
            artifacts.write_json(out / "scores.json", {"order": order, "by_order": baseline.by_order})
            fell_back = baseline.model.about.get("fell_back", [])
            return {"order": order, "bpb": baseline.bpb, "fell_back": fell_back}

        manifest = self.stages.run("ngram", settings, {"tokens": tokens.output}, work)
        counts = manifest.counts
        self.reporter.note(
            f"n-gram model of order {counts['order']}: {counts['bpb']:.3f} bits per held-out byte"
            + ("; the text is too small to find all of its discounts" if counts["fell_back"] else "")
        )
        return manifest

    def _prior(self, tokens: Manifest, ngram: Manifest) -> Manifest | None:
        config = self.recipe.prior
        if config.kind == "none":
            shutil.rmtree(self.dir / "prior", ignore_errors=True)  # of an earlier build with one
            return None
        order = config.order or max(2, int(ngram.counts["order"]))
        chosen = self.recipe.ngram.model_copy(update={"order": order})
        settings = {
            "order": order,
            "folds": config.folds,
            "smoothing": chosen.smoothing,
            "split": self.recipe.split.model_dump(mode="json"),  # says what is kept together in a fold
        }
        manifest = self.stages.run(
            "prior",
            settings,
            {"tokens": tokens.output},
            lambda out: make_prior(self.dir, out, chosen, config.folds, self.recipe),
        )
        self.reporter.note(
            f"the network goes on from an n-gram model of order {order}: mynah export cannot write it"
        )
        return manifest

    def _plan(self, tokens: Manifest, prior: Manifest | None) -> Plan:
        recipe = self.recipe
        settings = recipe.plan.model_dump(mode="json")
        inputs = _inputs(tokens, prior)
        if recipe.base is not None:
            inputs["base"] = hash_of_directory(Path(recipe.base))

        def work(out: Path) -> dict[str, Any]:
            vocab_size = Tokenizer.load(self.dir / "tokenizer").vocab_size
            total = 60 * (recipe.plan.minutes or DEFAULT_MINUTES)
            timings = self.stages.timings()  # of later stages too, from an earlier build
            begun = time.monotonic()
            data, _ = self._texts  # with a prior, made here for the first time: part of what is spent
            spent = sum(float(timings[name]["seconds"]) for name in BEFORE_PLAN if name in timings)
            spent += time.monotonic() - begun
            reserve = max(EVALUATION_SECONDS, EVALUATION_SHARE * total)
            plan = make_plan(
                recipe.plan,
                data,
                vocab_size,
                has_replies=recipe.plan.replies and bool(data.reply.any()),
                base=self._base_model(),
                seconds=max(2.0, total - spent - reserve),
                device=self.device,
                seed=recipe.seed,
            )
            for config in (plan.pretrain, plan.tune):
                if config is not None:
                    check_memory(recipe.plan.size, plan.model, config, available_memory(self.device))
            artifacts.write_json(out / "plan.json", plan.to_json())
            return {}

        self.stages.run("plan", settings, inputs, work)
        path = self.dir / "plan" / "plan.json"
        plan = Plan.from_json(artifacts.read_json(path), str(path))
        for reason in plan.reasons:
            self.reporter.note(reason)
        return plan

    def _pretrain(self, tokens: Manifest, prior: Manifest | None, plan: Plan) -> Manifest:
        settings = {
            "model": plan.model.model_dump(mode="json"),
            "train": plan.pretrain.deciding(),
        }
        inputs = _inputs(tokens, prior)
        if self.recipe.base is not None:
            inputs["base"] = hash_of_directory(Path(self.recipe.base))

        def work(out: Path) -> dict[str, Any]:
            data, held_out = self._texts
            model = self._base_model() or new_model(plan.model, self.recipe.seed)
            done = pretrain(
                model.to(self.device),
                data,
                held_out,
                plan.pretrain,
                self._session("pretrain", out),
            )
            return keep(model, done, out)

        return self._trained("pretrain", self.stages.run("pretrain", settings, inputs, work))

    def _tune(self, tokens: Manifest, prior: Manifest | None, plan: Plan, base: Manifest) -> Manifest | None:
        if plan.tune is None:
            shutil.rmtree(self.dir / "tune", ignore_errors=True)  # of an earlier build with conversations
            if self.recipe.plan.replies:
                self.reporter.note("no conversations: nothing to fine-tune, the model continues text")
            return None
        config = plan.tune

        def work(out: Path) -> dict[str, Any]:
            data, held_out = self._texts
            model = load_model(self.dir / "pretrain").to(self.device)
            done = tune(model, data, held_out, config, self._session("tune", out))
            return keep(model, done, out)

        inputs = {**_inputs(tokens, prior), "pretrain": base.output}
        settings = config.deciding()
        return self._trained("tune", self.stages.run("tune", settings, inputs, work))

    def _trained(self, stage: str, manifest: Manifest) -> Manifest:
        counts = manifest.counts
        if counts["best_loss"] is not None:
            early = ", stopped early" if counts["stopped_early"] else ""
            self.reporter.note(
                f"best held-out loss {counts['best_loss']:.3f} nats a token "
                f"after step {counts['best_step']:,} of {counts['steps']:,}{early}"
            )
        return manifest

    def _evaluate(
        self,
        parts: Manifest,
        tokens: Manifest,
        ngram: Manifest,
        base: Manifest,
        tuned: Manifest | None,
    ) -> Manifest:
        recipe = self.recipe
        inputs = {
            "split": parts.output,
            "tokens": tokens.output,
            "ngram": ngram.output,
            "pretrain": base.output,
        }
        if tuned is not None:
            inputs["tune"] = tuned.output
        questions = Path(recipe.evaluate.questions) if recipe.evaluate.questions else None
        if questions is not None:
            inputs["questions"] = artifacts.sha256_of_file(questions)
        settings = {
            "evaluate": recipe.evaluate.model_dump(mode="json", exclude={"questions"}),
            "sampling": recipe.sampling.model_dump(mode="json"),
        }

        def work(out: Path) -> dict[str, Any]:
            result = evaluate_run(
                self.dir,
                sampling=recipe.sampling.model_copy(update={"seed": recipe.sampling.seed or recipe.seed}),
                max_tokens=recipe.evaluate.max_tokens,
                samples=recipe.evaluate.samples,
                questions=questions,
                tuned=tuned is not None,
                device=self.device,
            )
            artifacts.write_json(out / "evaluation.json", result)
            return {}

        return self.stages.run("evaluate", settings, inputs, work)

    def _read_tokens(self) -> tuple[TokenSet, TokenSet]:
        folder = self.dir / "tokens"
        return TokenSet.load(folder / "train.safetensors"), TokenSet.load(folder / "held_out.safetensors")

    @cached_property
    def _texts(self) -> tuple[TokenSet, TokenSet]:
        """What the network is trained on, and measured on: with the prior that it goes on from, if it does."""
        data, held_out = self._read_tokens()
        if self.recipe.prior.kind == "none":
            return data, held_out
        return with_prior(data, held_out, self.dir, self.recipe.ngram)

    def _base_model(self) -> Transformer | None:
        if self.recipe.base is None:
            return None
        return from_hugging_face(Path(self.recipe.base))[0]

    def _session(self, stage: str, out: Path) -> Session:
        return Session(out, lambda step: self.reporter.training(stage, step), self.reporter.note)


def _inputs(tokens: Manifest, prior: Manifest | None) -> dict[str, str]:
    """Return what a stage of the network is made from."""
    return {"tokens": tokens.output, **({"prior": prior.output} if prior is not None else {})}
