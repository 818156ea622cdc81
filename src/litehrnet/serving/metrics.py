"""Counters of the prediction service, in Prometheus' text format."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Upper limits of the histogram of seconds."""


@dataclass
class Metrics:
    """Counts since the start; used by one thread.

    Attributes:
        requests: Number of answered requests by path and HTTP status.
        seconds: Computing time of each prediction, counted by the smallest bucket that holds it.
        seconds_total: Sum of these times.
        people: Number of people found.
    """

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    seconds: Counter[float] = field(default_factory=Counter)
    seconds_total: float = 0.0
    people: int = 0

    def count_prediction(self, seconds: float, people: int) -> None:
        """Count a finished prediction."""
        self.seconds[next((bucket for bucket in _BUCKETS if seconds <= bucket), float("inf"))] += 1
        self.seconds_total += seconds
        self.people += people

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Format all counts, and gauges: help text and value by name."""
        lines = ["# HELP litehrnet_requests_total Answered requests.", "# TYPE litehrnet_requests_total counter"]
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'litehrnet_requests_total{{path="{path}",status="{status}"}} {count}')
        name, below = "litehrnet_prediction_seconds", 0
        lines += [f"# HELP {name} Computing time of a photo.", f"# TYPE {name} histogram"]
        for bucket in (*_BUCKETS, float("inf")):
            below += self.seconds[bucket]
            label = "+Inf" if bucket == float("inf") else f"{bucket:g}"
            lines.append(f'{name}_bucket{{le="{label}"}} {below}')
        lines += [f"{name}_sum {self.seconds_total:.6f}", f"{name}_count {below}"]
        lines += ["# HELP litehrnet_people_total People found.", "# TYPE litehrnet_people_total counter"]
        lines.append(f"litehrnet_people_total {self.people}")
        for gauge, (help_text, value) in gauges.items():
            lines += [f"# HELP {gauge} {help_text}", f"# TYPE {gauge} gauge", f"{gauge} {value:g}"]
        return "\n".join(lines) + "\n"
