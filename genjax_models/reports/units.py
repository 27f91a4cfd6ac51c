"""Units and names of metrics in reports."""

from genjax_models.runs.protocol import Metric

_WORDS = {"kl": "KL", "pareto_k_hat": "Pareto k-hat (cannot see a mode that the encoder misses)"}
_UNITS = {
    "effective_sample_size": "samples",
    "pareto_k_hat": "",
    "active_units": "latent dimensions",
    "mode_divergence": "nats",
}


def unit_of(metric: Metric, name: str) -> str:
    """Returns the unit of the metric `name`: its own, or the unit of the run's `metric`."""
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), metric.unit)


def words_of(name: str) -> str:
    """Returns the name of a metric in words."""
    return _WORDS.get(name, name.replace("_", " "))
