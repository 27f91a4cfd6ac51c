"""Units, names and directions of metrics in reports."""

from genjax_models.runs.protocol import Metric

_NAMES = {
    "beta_vae_score": "beta-VAE score",
    "factor_vae_score": "FactorVAE score",
    "mutual_information_gap": "MIG",
    "pareto_k_hat": "Pareto k-hat (cannot see a mode that the encoder misses)",
    "per_step": "bound per step",
}
_WORDS = {
    "dci": "DCI",
    "elbo": "ELBO",
    "fivo": "FIVO",
    "frechet": "Fréchet",
    "iwae": "IWAE",
    "kl": "KL",
    "mig": "MIG",
    "mnist": "MNIST",
    "r2": "R^2",
    "sap": "SAP",
}
_BEGINNINGS = {
    "mmd_permutation_p_value": "p-value of the MMD by permutations",
    "two_sample_accuracy": "accuracy of a two-sample classifier",
    "two_sample_p_value": "p-value of a two-sample classifier",
}
_UNITS = {
    **dict.fromkeys(("beta_vae_score", "dci_", "factor_vae_score", "modularity", "sap"), ""),
    "bits_per_value": "bits",
    "checkerboard": "",
    "effective_sample_size": "samples",
    "pareto_k_hat": "",
    "active_units": "latent dimensions",
    "effective_particles": "particles",
    **dict.fromkeys(("baseline", "per_step", "elbo_per_step", "iwae_per_step", "fivo_per_step"), "nats per step"),
    "mig_of": "of its entropy",
    "mode_divergence": "nats",
    "mutual_information_gap": "of the entropy of a factor",
    "parzen_window": "nats, of values in [0, 1]",
    "r2_of": "",
}

_BETTER = {
    "beta_vae_score": "higher",
    "bits_per_value": "lower",
    "bound": "higher",
    "checkerboard": "lower",
    "class_accuracy": "higher",
    "coverage": "higher",
    "dci_": "higher",
    "density": "near 1",
    "diversity": "near 1",
    "effective_particles": "higher",
    "effective_sample_size": "higher",
    "elbo": "higher",
    "factor_vae_score": "higher",
    "fivo": "higher",
    "frechet_distance": "lower",
    "high_quality": "higher",
    "iwae": "higher",
    "kernel_distance": "lower, near 0",
    "log_likelihood": "higher",
    "mmd_permutation_p_value": "not small",
    "mmd_squared": "lower, near 0",
    "mode_divergence": "lower",
    "modularity": "higher",
    "modes_covered": "higher",
    "modes_missed": "lower",
    "nearer_to_training_images": "near 1/2, 1 is copying",
    "mig_of": "higher",
    "mutual_information_gap": "higher",
    "negative_log_likelihood": "lower",
    "pareto_k_hat": "lower",
    "parzen_window": "higher, but it says little (Theis et al., 2016)",
    "per_step": "higher",
    "precision": "higher",
    "r2_of": "higher",
    "recall": "higher",
    "reconstruction": "higher",
    "sap": "higher",
    "squared_error": "lower",
    "two_sample_accuracy": "near 1/2",
    "two_sample_p_value": "not small",
}  # by the beginning of the name


def better_of(metric: Metric, name: str) -> str:
    """Returns which values of the metric `name` are better, in words; "" if none are."""
    if name == metric.name and not any(name.startswith(start) for start in _BETTER):
        return "higher" if metric.higher_is_better else "lower"
    return next((words for start, words in _BETTER.items() if name.startswith(start)), "")


def unit_of(metric: Metric, name: str) -> str:
    """Returns the unit of the metric `name`: its own, or the unit of the run's `metric`."""
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), metric.unit)


def words_of(name: str) -> str:
    """Returns the name of a metric in words."""
    if name in _NAMES:
        return _NAMES[name]
    start = next((start for start in _BEGINNINGS if name.startswith(start)), "")
    words = [_BEGINNINGS.get(start, ""), *(_WORDS.get(word, word) for word in name.removeprefix(start).split("_"))]
    return " ".join(filter(None, words))
