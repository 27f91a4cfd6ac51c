"""Findings: sentences for the report, on problems in the history and the figures of a run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from genjax_models.estimators.importance_diagnostics import BLIND_TO_MISSED_MODES, pareto_k_threshold
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.factor_figures import FactorFigures
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.evaluation.partition import Partition
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.evaluation.symptoms import Row, players_in, rows_with, symptoms
from genjax_models.types import Array

_NEAR = 0.8  # share of log n from which mutual information depends on n as much as on the model
_FEW = 10  # effective sample size below which the error of log p(x) is not sqrt(R / k)
_COLLAPSED = 1.5  # mean effective number of particles below which they are as good as one
_USED = 0.01  # weight of a component of a mixture from which it is used
_SAME = 0.9  # R^2 from which a latent is a factor
_SOME = 0.1  # R^2 from which latents know something of a factor
_WITHOUT_Z = 0.1  # nats of KL below which z says next to nothing about x
_NOTHING_LEARNED = 0.01  # nats below log 4 up to which a discriminator knows nothing
EVALUATIONS = 4  # from which the course of training is judged
_SWING = 0.1  # share of its best value by which a held-out figure of a game may vary


class Facts(NamedTuple):
    """Facts about a run that the history does not have.

    Attributes:
      metric: held-out figure by which the best checkpoint is chosen.
      higher_is_better: whether higher values of the metric are better.
      unit: unit of the metric.
      adversaries: players of the objective that are adversaries.
      active: which latent dimensions are active, `[*event]`; a tuple of such arrays for several stochastic layers.
      bernoulli: whether the likelihood is Bernoulli.
      density: whether the likelihood is a density, not a probability.
      values: some of the data, as the model sees them.
      weights: result of `negative_log_likelihood` on test data, with `num_samples` samples per example.
      num_samples: number of samples behind `weights`.
      mutual_information: I(x; z) over n test examples, in nats.
      samples: figures of samples by name, for the table of results.
      further: further figures of the test split by name, such as figures of known factors.
      factors: figures of codes against known factors.
      particles: mean effective number of particles over test sequences and steps; None without a filter.
      num_particles: number of particles behind it.
      partition: log Z of an energy model.
      components: weights of a mixture, `[m]`.
    """

    metric: str = ""
    higher_is_better: bool = True
    unit: str = "nats"
    adversaries: tuple[str, ...] = ()
    active: Array | tuple[Array, ...] | None = None
    bernoulli: bool = False
    density: bool = False
    values: Array | None = None
    weights: Mapping[str, Array] | None = None
    num_samples: int = 0
    mutual_information: Estimate | None = None
    samples: Mapping[str, SampleFigure] = {}
    further: Mapping[str, Estimate] = {}
    factors: FactorFigures | None = None
    particles: float | None = None
    num_particles: int = 0
    partition: Partition | None = None
    components: Array | None = None


def findings(history: Sequence[Row], facts: Facts) -> list[str]:
    """Returns sentences on problems of the run, the most important first.

    Args:
      history: rows with "step", "split" and metrics, as `runs.fit` makes them.
      facts: facts that the rows do not have.
    """
    return [
        *_likelihood(facts),
        *_weights(facts),
        *_partition(facts),
        *_components(facts),
        *_discriminators(history),
        *_particles(facts),
        *_latents(history, facts),
        *_information(facts),
        *_factors(facts),
        *(symptom.sentence for symptom in symptoms(history, facts.adversaries)),
        *_learning(history, facts),
    ]


def _likelihood(facts: Facts) -> Iterator[str]:
    if facts.values is None:
        return
    values = np.asarray(facts.values)
    binary = bool(np.all((values == 0) | (values == 1)))
    if facts.bernoulli and not binary:
        yield (
            "The data are grey but the likelihood is Bernoulli: the bound is a cross-entropy, not a bound on log p(x)."
            " Binarise the data, or use another likelihood."
        )
    if facts.density and binary:
        yield (
            "The data are binary but the likelihood is a density: the bound can grow without limit, and does not"
            " compare with the bound of a Bernoulli likelihood. Use a Bernoulli likelihood."
        )


def _weights(facts: Facts) -> Iterator[str]:
    """Yields sentences on the reliability of NLL(k), by its importance weights."""
    if not facts.weights:
        return
    k, sizes = facts.num_samples, np.asarray(facts.weights["effective_sample_size"])
    n, remedy = len(sizes), "Use more samples, annealed importance sampling, or a better encoder."
    if "pareto_k_hat" not in facts.weights:
        yield f"The reliability of the NLL({k:,}) is unknown: Pareto k-hat needs at least 25 samples."
        return
    k_hat, limit = np.asarray(facts.weights["pareto_k_hat"]), pareto_k_threshold(k)
    heavy = k_hat > limit
    if count := int(heavy.sum()):
        yield (
            f"The NLL({k:,}) of {count:,} of {n:,} test examples is unreliable: the Pareto k-hat of their weights is"
            f" above {limit:.2f} (the largest is {k_hat[heavy].max():.2f}). The variance of the weights is too large to"
            f" estimate, and the NLL is probably too high by an unknown amount. {remedy} {BLIND_TO_MISSED_MODES}"
        )
    few = ~(sizes >= _FEW) & ~heavy  # includes examples with too few positive weights for a k-hat
    if count := int(few.sum()):
        yield (
            f"The NLL({k:,}) of {count:,} {'more ' if heavy.any() else ''}of {n:,} test examples rests on an effective"
            f" sample size below {_FEW} (the smallest is {sizes[few].min():.1f}). {remedy}"
        )


def _particles(facts: Facts) -> Iterator[str]:
    if facts.particles is not None and facts.num_particles > 1 and facts.particles < _COLLAPSED:
        yield (
            f"The particles collapse: of {facts.num_particles}, {facts.particles:.2f} count in the mean over steps (the"
            " effective sample size). The bound is little better than with one particle. Resample (--bound fivo), or"
            " use a better q."
        )


def _components(facts: Facts) -> Iterator[str]:
    if facts.components is None:
        return
    used, n = int(np.sum(np.asarray(facts.components) >= _USED)), len(facts.components)
    if used < n:
        have = "has" if used == 1 else "have"
        yield f"Only {used} of {n} components {have} a weight of {_USED} or more: no other is used."


def _partition(facts: Facts) -> Iterator[str]:
    if facts.partition is None or not facts.partition.num_chains:
        return
    _, error, size, chains = facts.partition
    yield (
        f"The log-likelihood rests on log Z by annealing, with a standard error of {error:.2f} nats. log Z is too low"
        " in expectation, so that the log-likelihood flatters the model. More temperatures make the difference smaller."
    )
    if size < _FEW:
        yield (
            f"log Z rests on an effective sample size of {size:.1f} of {chains:,} chains: its standard error is"
            " probably too small. Use more temperatures."
        )


def _discriminators(history: Sequence[Row]) -> Iterator[str]:
    """Yields a sentence on the stages of boosting whose last training row has the loss of a coin, or more."""
    losses: dict[int, float] = {}
    for row in history:
        figures = {name.split("/")[-1]: value for name, value in row.items()}
        if row["split"] == "train" and "stage" in figures:
            losses[int(figures["stage"])] = figures["loss"]
    nothing = math.log(4)
    if count := sum(loss > nothing - _NOTHING_LEARNED for loss in losses.values()):
        yield (
            f"In {count:,} of {len(losses):,} stages the discriminator learned nothing: at the end its loss was at"
            f" least {nothing - _NOTHING_LEARNED:.2f} nats, and log 4 = {nothing:.3f} is a coin's. Its feature"
            " adds nothing. Either features saturate, and a lower learning rate helps; or draws of the model already"
            " look like data."
        )


def _latents(history: Sequence[Row], facts: Facts) -> Iterator[str]:
    rows = [row for row in rows_with(history, "validation", "kl") if row["step"]]  # an untrained decoder uses no z
    if rows and rows[-1]["kl"] < _WITHOUT_Z:
        yield (
            f"The decoder does without z (KL below {_WITHOUT_Z} nats): KL(q(z | x) || p(z)) was"
            f" {max(rows[-1]['kl'], 0.0):.2g} nats at step {rows[-1]['step']:,}. A decoder that sees less of x, or a KL"
            " weight that rises from 0, may help."
        )
        return
    if facts.active is None:
        return
    layers = facts.active if isinstance(facts.active, tuple) else (facts.active,)
    totals, unused = [np.size(active) for active in layers], [int(np.sum(~np.asarray(active))) for active in layers]
    rule = f"the variance of their posterior mean over data is at most {ACTIVITY_THRESHOLD}"
    if unused == totals:
        yield (
            f"The posterior has collapsed: all {sum(totals)} latent dimensions are unused ({rule})."
            " z has no information about x."
        )
        return
    for layer, (count, total) in enumerate(zip(unused, totals, strict=True), start=1):
        share = f"all {total}" if count == total else f"{count} of {total}"
        where = f"Layer {layer}: " if len(layers) > 1 else ""
        if count:
            yield f"{where}{share} latent dimensions {'is' if count == 1 < total else 'are'} unused ({rule})."


def _information(facts: Facts) -> Iterator[str]:
    if facts.mutual_information is None:
        return
    information, n = facts.mutual_information.value, facts.mutual_information.n
    largest = math.log(n)
    if information > _NEAR * largest:
        yield (
            f"The estimate of the mutual information I(x; z), {information:.2f} nats, is close to log n ="
            f" {largest:.2f}, its maximum with {n:,} examples. The true value may be far larger. Use more examples."
        )


def _factors(facts: Facts) -> Iterator[str]:
    """Yields a sentence per known factor, and one on MIG."""
    if facts.factors is None:
        return
    figures, gap = facts.factors, facts.factors.gap
    for k, name in enumerate(figures.names):
        code, one, _ = figures.best(k)
        together = float(figures.readings.all_codes[k])
        if one >= _SAME:
            yield f"Latent {code} is {name}: R^2 {one:.2f}, MIG of {name} {gap.by_factor[k]:.2f}."
        elif together >= _SAME:
            yield (
                f"No latent is {name}: all together read it with R^2 {together:.2f}, the best, latent {code}, with"
                f" {one:.2f}. MIG of {name} {gap.by_factor[k]:.2f}."
            )
        elif together >= _SOME:
            yield f"The latents know {name} in part: R^2 {together:.2f} together, {one:.2f} of latent {code}, the best."
        else:
            yield f"The latents do not tell {name} to a linear reader: R^2 {max(together, 0.0):.2f} together."
    yield (
        f"MIG over all factors is {gap.estimate}, from {gap.estimate.n:,} examples. By counting, a latent that knows"
        f" nothing of a factor seems to know {gap.bias:.2f} of its entropy."
    )


def _learning(history: Sequence[Row], facts: Facts) -> Iterator[str]:
    rows = rows_with(history, "validation", facts.metric)
    sign = 1 if facts.higher_is_better else -1
    if len(rows) < EVALUATIONS:
        return
    steps = np.array([row["step"] for row in rows])
    values = np.array([row[facts.metric] for row in rows])
    error = rows[-1].get(f"{facts.metric}_se", 0.0)
    name, in_a_game = facts.metric.replace("_", " "), any(player in facts.adversaries for player in players_in(history))

    def amount(value: float, decimals: int = 2) -> str:  # small values have two digits, so that none reads 0.00
        return f"{value:.{decimals}f} {facts.unit}".rstrip() if value >= 0.1 else f"{value:.2g} {facts.unit}".rstrip()

    best = int(np.argmax(sign * values))
    if in_a_game:  # its figures swing by more than the error of one evaluation
        error = max(error, _SWING * abs(values[best]))
    lost = sign * (values[best] - values[-1])
    if lost > error:
        why = (
            "the game has not settled. The best checkpoint is kept. A lower learning rate, less momentum (b1) or a"
            " moving average of the generator may help."
            if in_a_game
            else "the model overfits. The best checkpoint is kept. More data, a smaller network or weight decay may"
            " help."
        )
        yield f"The validation {name} was best at step {steps[best]:,} and is {amount(lost)} worse since: {why}"
    train = [
        value for row in history if row["split"] == "train" for key, value in row.items() if _is(key, facts.metric)
    ]
    if train and sign * (train[-1] - values[-1]) > 4 * error > 0:
        yield (
            f"The {name} is {amount(sign * (train[-1] - values[-1]), 1)} better on training data than on held-out data:"
            " the model has begun to memorise. More data will help more than a larger network."
        )
    gained = sign * (values[-1] - np.interp(0.75 * steps[-1], steps, values))
    if best == len(rows) - 1 and gained > 0.5 * error:
        yield (
            f"The {'game' if in_a_game else 'model'} was still improving: the validation {name} improved by"
            f" {amount(gained)} in the last quarter of the run. Train longer."
        )


def _is(key: str, metric: str) -> bool:
    """Returns whether "player/metric" of a training row is this metric."""
    return key.split("/")[-1] == metric
