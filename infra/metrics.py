"""Numbers for Prometheus: counted where things happen, rendered when they are asked for.

Labels take values of closed sets only: no ids, no names that people gave, nothing from a request.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

F = TypeVar("F", Counter, Histogram)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER = "other"  # what is not in the set of its label
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


class _Family(Generic[F]):
    """A metric, and its series by labels; each is looked up in the library once."""

    __slots__ = ("_family", "_known", "_series")

    def __init__(self, family: F, known: Sequence[Collection[str]]) -> None:
        self._family: F = family
        self._known = [frozenset(values) for values in known]
        self._series: dict[tuple[str, ...], F] = {}

    def _of(self, labels: tuple[str, ...]) -> F:
        series = self._series.get(labels)
        if series is not None:
            return series
        closed = tuple(
            value if value in known else OTHER
            for value, known in zip(labels, self._known, strict=True)
        )
        found: F = self._family.labels(*closed) if closed else self._family
        if closed == labels:  # else a caller could fill the memory with names
            self._series[labels] = found
        return found


class Counts(_Family[Counter]):
    """A number that only grows, for each combination of labels."""

    __slots__ = ()

    def begin(self) -> None:
        """Show all series from the start: the first event of each is then seen as an increase."""
        for labels in itertools.product(*self._known):
            self._of(labels)

    def add(self, *labels: str) -> None:
        """Count one."""
        self._of(labels).inc()


class Timings(_Family[Histogram]):
    """How many, and how long they took, for each combination of labels."""

    __slots__ = ()

    def add(self, seconds: float, *labels: str) -> None:
        """Count one that took so long."""
        self._of(labels).observe(seconds)

    def add_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request by the template of its route and the class of its status."""
        self._of((route, _CLASSES[status // 100])).observe(seconds)


class _Total(Collector):
    """A count that another object keeps."""

    def __init__(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        self._name = name
        self._meaning = meaning
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._meaning)]

    def collect(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._meaning, value=self._read())]


class Registry:
    """All metrics of one application; those of its process are there from the start."""

    def __init__(self) -> None:
        # For the whole process: times of creation would double the output, and nobody reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

    def counts(self, name: str, meaning: str, **labels: Collection[str]) -> Counts:
        """Make a counter; `labels` are the values that each may take."""
        family = Counter(name, meaning, tuple(labels), registry=self._registry)
        counts = Counts(family, tuple(labels.values()))
        counts.begin()
        return counts

    def timings(
        self, name: str, meaning: str, buckets: Sequence[float], **labels: Collection[str]
    ) -> Timings:
        """Make a histogram of seconds."""
        family = Histogram(
            name, meaning, tuple(labels), buckets=buckets, registry=self._registry
        )  # fmt: skip
        return Timings(family, tuple(labels.values()))

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a number that goes up and down, read anew each time."""
        Gauge(name, meaning, registry=self._registry).set_function(read)

    def total(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a number that only grows and that another object keeps."""
        self._registry.register(_Total(name, meaning, read))

    def render(self) -> bytes:
        """Return everything as text."""
        return generate_latest(self._registry)
