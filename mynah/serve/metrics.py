"""What is counted, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mynah.generate.scheduler import Scheduler

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one service; nothing of what is asked is among them.

    Args:
        scheduler: whose load is told.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mynah_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "mynah_request_seconds",
            "Until a response is whole.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first = Histogram(
            "mynah_first_token_seconds",
            "Until the first token of a reply.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.prompt_tokens = self._of_models("mynah_prompt_tokens", "Tokens of prompts.")
        self.reused_tokens = self._of_models(
            "mynah_reused_tokens", "Tokens of prompts that were known from before."
        )
        self.tokens = self._of_models("mynah_tokens", "Tokens that were decoded.")
        self.drafted = self._of_models("mynah_guessed_tokens", "Tokens guessed ahead.")
        self.accepted = self._of_models("mynah_guessed_right_tokens", "Tokens guessed ahead that came.")
        self.handed_over = self._of_models("mynah_handed_over", "Replies that hand over to a person.")
        running = Gauge("mynah_running", "Requests that are decoded.", registry=self.registry)
        running.set_function(lambda: scheduler.load().running)
        waiting = Gauge("mynah_waiting", "Requests that wait.", registry=self.registry)
        waiting.set_function(lambda: scheduler.load().waiting)
        kept = Gauge("mynah_kept_bytes", "Keys and values kept of earlier prompts.", registry=self.registry)
        kept.set_function(lambda: scheduler.load().kept_bytes)

    def _of_models(self, name: str, told: str) -> Counter:
        return Counter(name, told, ("model",), registry=self.registry)

    def text(self) -> bytes:
        """Return them in Prometheus's format."""
        return generate_latest(self.registry)
