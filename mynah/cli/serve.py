"""`mynah serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mynah.errors import ConfigError, MynahError

#: A key that may ask, where none is named in a file.
KEY = "MYNAH_API_KEY"


def serve(
    *runs: Path,
    host: Annotated[str | None, Parameter(env_var="MYNAH_HOST")] = None,
    port: Annotated[int | None, Parameter(env_var="MYNAH_PORT")] = None,
    allow_host: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    key_file: Path | None = None,
    recipe: Annotated[Path | None, Parameter(env_var="MYNAH_SERVE_RECIPE")] = None,
    max_tokens: int | None = None,
    waiting: int | None = None,
    on_hand_over: str | None = None,
    feedback: bool = True,
    int8: Annotated[bool, Parameter(negative="")] = False,
    guess: bool = True,
    device: str = "auto",
) -> None:
    """Speak OpenAI's interface over HTTP for runs and bases, until Ctrl-C.

    Only this machine can reach it unless --host says otherwise, which needs a key. Each run is a model by its folder's
    name; those over one base share its weights. A run whose log holds replies answers from it, with sources.

    Parameters
    ----------
    runs: Path
        Runs of mynah build, bases, Hugging Face directories.
    host: str
        Address to listen on. Default: 127.0.0.1.
    port: int
        Default: 8080; 0: any that is free.
    allow_host: str
        A name by which clients call the service, such as that of a proxy before it. May be given several times.
    key_file: Path
        A file with a key a line; who asks must send one. Without it, the environment's MYNAH_API_KEY, if it is set.
    recipe: Path
        A TOML file; its section [serve] sets address, names and limits (docs/serving.md). Flags override it.
    max_tokens: int
        Tokens that a request may ask for. Default: 4096.
    waiting: int
        Requests that may wait; then 503. Default: 128.
    on_hand_over: str
        A command, or http://127.0.0.1:PORT/PATH, that gets each conversation which the bot hands over, as JSON.
    feedback: bool
        Keep what people say of replies, beside the run, for mynah teach and mynah unanswered.
    int8: bool
        Hold weights in 8 bits: half the memory of bfloat16, and on a CPU a large network replies sooner.
    guess: bool
        Guess tokens ahead, by what the log says often and by what a text repeats: replies are the same, but for
        rounding in fewer bits, and come sooner.
    device: str
        auto, cpu, cuda or mps.
    """
    import hashlib
    import logging

    from mynah.config import build_config, read_recipe
    from mynah.serve.config import ServeConfig

    if not runs:
        raise ConfigError("there is nothing to serve; expected a run: mynah serve runs/NAME")
    given = read_recipe(recipe).get("serve", {}) if recipe is not None else {}
    flags = {
        "host": host,
        "port": port,
        "hosts": allow_host or None,
        "max_tokens": max_tokens,
        "most_waiting": waiting,
        "guess": None if guess else False,
    }
    keys = _keys(key_file)
    if keys:
        flags["key_hashes"] = tuple(hashlib.sha256(key.encode("utf-8")).hexdigest() for key in keys)
    config = build_config(
        ServeConfig, {**given, **{k: v for k, v in flags.items() if v is not None}}, str(recipe or "serve")
    )
    from mynah.generate.scheduler import Scheduler
    from mynah.pipeline.open_served import open_served
    from mynah.serve.app import make_app
    from mynah.serve.hand_over import HandOver
    from mynah.serve.server import Service, listening

    bound = listening(config)  # before models are read for it
    handed_over = HandOver(on_hand_over) if on_hand_over is not None else None

    def note(text: str) -> None:
        print(f"({text})", file=sys.stderr)

    scheduler = Scheduler(config.most_waiting, config.rows, config.kept_bytes)
    try:
        # In the thread that computes: had another one begun with OpenMP before, its idle helpers would be too many for
        # the cores, and each product would wait for a sleeping thread (a step of SmolLM2 51 ms instead of 28).
        models = scheduler.call(
            lambda: open_served(runs, device, note, keep_feedback=feedback, int8=int8)
        ).result()
    except MynahError:
        scheduler.stop()
        raise
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("mynah.serve").setLevel(logging.INFO)
    name = f"[{config.host}]" if ":" in config.host else config.host

    def ready() -> None:
        print(
            f"serving {', '.join(models.by_name)} on http://{name}:{service.port} (Ctrl-C stops)", flush=True
        )

    service = Service(make_app(models, config, scheduler, handed_over), config, scheduler, bound, ready)
    service.run()


def _keys(file: Path | None) -> list[str]:
    """Return the keys that may ask.

    Raises:
        ConfigError: if a file of keys holds none, or cannot be read.
    """
    if file is None:
        return [key] if (key := os.environ.get(KEY, "").strip()) else []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--key-file {file}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        ) from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise ConfigError(f"--key-file {file}: holds no key; expected one a line")
    return keys
