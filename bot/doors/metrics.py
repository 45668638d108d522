"""What Prometheus may read: counts and times, never a word that was said. One registry per running door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bot.exchange import Reply
from bot.responder import Answer, Responder
from safety.verdict import SafetyVerdict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters and histograms of one door; ``text`` is what the scraper gets."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests by route and status", "route", "status")
        self.replies = self._counter("replies", "Replies by where their words come from", "door", "source")
        self.safety = self._counter("safety_actions", "Safety verdicts by side", "side", "category", "action")
        self.tokens = self._counter("tokens", "Tokens of the replies said")
        self.refusals = self._counter("refusals", "Messages that were refused, by reason", "reason")
        self.ratings = self._counter("ratings", "Ratings stored", "label", "value")
        self.events = self._counter("events", "Other things worth counting", "kind")
        self.stages = self._histogram("stage_seconds", "Time of a reply by stage", "stage")
        self.latency = self._histogram("request_seconds", "Time of a request by route", "route")

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"chinwag_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str) -> Histogram:
        return Histogram(f"chinwag_{name}", about, labels, registry=self.registry, buckets=_SECONDS)

    def watch(self, responder: Responder) -> None:
        """Show the queue, the live batch and the safety detectors' failures at every scrape."""
        self.registry.register(_Gauges(responder))

    def observe(self, door: str, answer: Answer | Reply, seconds: Mapping[str, float]) -> None:
        """Count one reply."""
        self.replies.labels(door, str(answer.source)).inc()
        self._verdict("heard", answer.verdict_in)
        self._verdict("said", answer.verdict_out)
        said = next((c for c in answer.candidates if c.dropped_by is None), None)
        self.tokens.inc(len(said.hypothesis.token_ids) if said else 0)
        for stage, value in seconds.items():
            self.stages.labels(stage).observe(value)

    def _verdict(self, side: str, verdict: SafetyVerdict) -> None:
        self.safety.labels(side, verdict.category or "none", str(verdict.action)).inc()

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """Read at every scrape: nothing has to remember to update them."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The present state of queue, batch, model thread and detectors."""
        batcher = self._responder.batcher
        yield GaugeMetricFamily("chinwag_queue_waiting", "Requests waiting for the model", value=batcher.waiting)
        yield GaugeMetricFamily("chinwag_batch_live", "Conversations being decoded now", value=batcher.live)
        expected = self._responder.admission.expected_s(batcher.waiting)
        yield GaugeMetricFamily(
            "chinwag_expected_seconds", "Until a message that comes now is answered", value=expected
        )
        yield GaugeMetricFamily("chinwag_model_alive", "1 while the model thread runs", value=float(batcher.alive))
        failures = GaugeMetricFamily("chinwag_detector_failures", "Failures of safety detectors", labels=["detector"])
        for name, count in self._responder.safety.failures.items():
            failures.add_metric([name], count)
        yield failures
