"""A model of ours as EleutherAI's lm_eval asks one: its tasks run on it offline.

from lm_eval import simple_evaluate
from mynah.evaluate.lm_eval_model import MynahLM
simple_evaluate(MynahLM(model, tokenizer), tasks=[...])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mynah.errors import MissingDependency
from mynah.evaluate.benchmark.likelihood import log_likelihoods, score_tokens
from mynah.generate.chat import until
from mynah.generate.engine import Request, generate_all
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

try:
    from lm_eval.api.model import LM
except ImportError:
    raise MissingDependency("lm_eval", "lm-eval", "asking a model what lm_eval asks") from None


class MynahLM(LM):  # type: ignore[misc]
    """Answers the three kinds of question that lm_eval has.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return of each (context, continuation) the natural log-probability, and whether it is what is likeliest."""
        likely = log_likelihoods(self.model, self.tokenizer, [request.args for request in requests])
        return [(one.log_prob, one.greedy) for one in likely]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the natural log-probability of whole texts; long ones are read in windows that do not overlap."""
        context = self.model.config.context_length
        found = []
        for request in requests:
            ids = self.tokenizer.begin("") + self.tokenizer.encode(request.args[0])
            pairs = [
                (ids[at : at + 1], ids[at + 1 : at + context]) for at in range(0, len(ids) - 1, context - 1)
            ]
            found.append(sum(one.log_prob for one in score_tokens(self.model, pairs)))
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return what a model goes on with up to a text that ends it."""
        asked, stops = [], []
        for request in requests:
            prompt, settings = request.args
            until_texts = settings.get("until") or []
            stops.append([until_texts] if isinstance(until_texts, str) else list(until_texts))
            most = min(int(settings.get("max_gen_toks", 256)), self.model.config.context_length // 2)
            temperature = float(settings.get("temperature", 0.0)) if settings.get("do_sample") else 0.0
            ids = self.tokenizer.begin(prompt)[-(self.model.config.context_length - most) :]
            config = SamplingConfig(max_tokens=most, temperature=temperature)
            asked.append(Request(ids, config, stop=self.tokenizer.template.stop_ids))
        written = generate_all(self.model, asked)
        return [
            "".join(until(self.tokenizer.stream(said, one.prompt), stop))
            for said, one, stop in zip(written, asked, stops, strict=True)
        ]
