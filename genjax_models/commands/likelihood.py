"""Estimates log p(x) of test data under a finished run: NLL(k), checked by annealed importance sampling.

genjax-models likelihood runs/iwae50

The model of the run needs a posterior q(z | x), for example a run of experiments.vae or experiments.iwae. The command
says on standard error what it does, prints these figures and writes them to likelihood.json in the run:

- The bound of training, -L(q), of n test examples from one draw of q(z | x) each.
- NLL(k) of these examples, from k samples of q(z | x), and the number of examples that Pareto k-hat trusts. Neither
  can see a mode of the posterior that the encoder misses.
- Annealed bounds of the same examples, from q(z | x) and from the prior to the posterior. The bound from the prior does
  not depend on the encoder. NLL(k) and both bounds are upper bounds on -log p(x) in expectation. The figure to report
  is the lower bound of the two, for each example.
- Bounds from both sides for n draws of the model (bidirectional Monte Carlo). Their gap limits the error of the
  annealed figure, if real data are no harder than the model's draws.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array


@dataclasses.dataclass(frozen=True)
class EstimateLikelihood:
    """Estimate log p(x) of test data under a finished run, and bound log p(x) of its draws from both sides."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    n: int = 100
    """Number of test examples, and of draws of the model."""
    num_samples: int = 5_000
    """k of NLL(k)."""
    num_temperatures: int = 1_000
    """Temperatures of the annealing. More give a tighter bound."""
    num_chains: int = 16
    """Chains per example."""
    num_leapfrog: int = 5
    """Leapfrog steps between two temperatures."""
    start: Literal["encoder", "prior", "both"] = "both"
    """Start of the chains. Both: the lower bound on -log p(x) of the two, for twice the time;
    chains of the model's draws then start from the encoder."""
    seed: int = 0
    """Random seed of the chains, in [0, 2^32)."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        whole(2, n=self.n, num_temperatures=self.num_temperatures)
        whole(1, num_samples=self.num_samples, num_chains=self.num_chains, num_leapfrog=self.num_leapfrog)
        seed_in_range(self.seed)


def estimate_likelihood(options: EstimateLikelihood) -> dict[str, float]:
    """Estimates the likelihoods, and writes `likelihood.json`.

    Returns:
      Means over examples in nats, with their standard errors as "name_se".
    """
    import numpy as np

    from genjax_models.estimators.importance_diagnostics import pareto_k_threshold
    from genjax_models.evaluation.estimates import estimate
    from genjax_models.runs import directory

    bounds, weights, annealed, sandwich = _estimates(options)
    nll, bound = weights["negative_log_likelihood"], -annealed["lower_bound"]
    prefix = "lower_bound_"
    by_start = {name.removeprefix(prefix): annealed[name] for name in annealed if name.startswith(prefix)}
    figures = {
        "negative_bound": estimate(-bounds["bound"]),
        "negative_log_likelihood": estimate(nll),
        "annealed": estimate(bound),
        **{f"annealed_{start}": estimate(-values) for start, values in by_start.items()},
        "annealed_minus_negative_log_likelihood": estimate(bound - nll),
        "of_own_draws_above": estimate(-sandwich["lower_bound"]),
        "of_own_draws_below": estimate(-sandwich["upper_bound"]),
        "of_own_draws_gap": estimate(sandwich["upper_bound"] - sandwich["lower_bound"]),
        "acceptance": estimate(annealed["acceptance"]),
    }
    results = {name: figure.value for name, figure in figures.items()}
    results |= {f"{name}_se": figure.standard_error for name, figure in figures.items()}
    if "pareto_k_hat" in weights:
        results["trusted"] = int(np.sum(weights["pareto_k_hat"] <= pareto_k_threshold(options.num_samples)))
    settings = {name: str(value) for name, value in dataclasses.asdict(options).items()}
    directory.write_json(options.run / "likelihood.json", {"options": settings, **results})
    return results


def _estimates(options: EstimateLikelihood) -> list[dict]:
    """Returns the bound, NLL(k), the annealed bound, and the bounds of the model's draws, per example."""
    import jax

    from genjax_models.commands.encoders import label_of, load_encoder_run

    run = load_encoder_run(options.run, options.checkpoint)
    test = run.data.test
    if options.n > len(test.x):
        raise InputError(
            f"n must be at most {len(test.x)}, the size of the test split of {run.config.data}, got {options.n}"
        )
    test = jax.tree.map(lambda a: a[: options.n], test)
    stages = _stages(options, run, label_of(run, test))
    results = []
    for i, (what, function) in enumerate(stages.items(), 1):
        print(f"{i} of {len(stages)}: {what}", file=sys.stderr, flush=True)
        started = time.monotonic()
        results.append(jax.device_get(jax.jit(function)(run.variables, test.x)))
        print(f"  took {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return results


def _stages(options: EstimateLikelihood, run: LoadedRun, label: Array | None) -> dict[str, Callable[..., dict]]:
    """Returns functions (variables, x) -> figures, by what they do in words."""
    import jax

    import genjax_models as gx
    from genjax_models.runs.evaluation import evaluation_key

    annealing_key, draws_key = jax.random.split(jax.random.key(options.seed))
    model, n, k, start = run.model, options.n, options.num_samples, options.start
    chains = {name: getattr(options, name) for name in ("num_temperatures", "num_chains", "num_leapfrog")}
    size = f"{options.num_chains} chains each, {options.num_temperatures:,} temperatures"
    starts = "encoder and from the prior" if start == "both" else start
    of_draws = "prior" if start == "prior" else "encoder"
    return {
        f"bound of {n} test examples, one draw of q(z | x) each": lambda variables, x: gx.held_out_bound(
            model, variables, evaluation_key(), x, label=label, form="monte_carlo"
        ),
        f"NLL({k:,}) of {n} test examples, {k:,} draws of q(z | x) each": lambda variables, x: (
            gx.negative_log_likelihood(model, variables, evaluation_key(), x, label=label, num_samples=k)
        ),
        f"annealing of {n} test examples from the {starts}, {size}": lambda variables, x: gx.annealed_log_likelihood(
            model, variables, annealing_key, x, label=label, **chains, start=start
        ),
        f"annealing of {n} draws of the model forwards and backwards, {size}": lambda variables, x: (
            gx.annealed_sandwich(model, variables, draws_key, len(x), label=label, **chains, start=of_draws)
        ),
    }


def likelihood_table(options: EstimateLikelihood, results: dict[str, float]) -> str:
    """Returns the results as lines of text."""
    from genjax_models.estimators.importance_diagnostics import BLIND_TO_MISSED_MODES

    def line(title: str, name: str) -> str:
        return f"{title:58} {results[name]:8.2f} +- {results[name + '_se']:.2f}"

    trusted = f", trusted by k-hat for {results['trusted']} of {options.n} examples" if "trusted" in results else ""
    both = "annealed_from_prior" in results
    return "\n".join([
        f"-log p(x) in nats, {options.n} test examples and as many draws of the model",
        line("bound, one draw of q(z | x) each", "negative_bound"),
        line(f"NLL({options.num_samples:,}){trusted}", "negative_log_likelihood"),
        *([f"  {BLIND_TO_MISSED_MODES}"] if trusted else []),
        *([line("annealed from the encoder", "annealed_from_encoder")] if both else []),
        *([line("annealed from the prior, independent of the encoder", "annealed_from_prior")] if both else []),
        line(f"annealed, {'the lower of the two' if both else f'from the {options.start}'}, from above", "annealed"),
        line("  difference from the NLL", "annealed_minus_negative_log_likelihood"),
        line("draws of the model, annealed from above", "of_own_draws_above"),
        line("draws of the model, annealed from below", "of_own_draws_below"),
        line("  gap", "of_own_draws_gap"),
        f"acceptance of the chains {results['acceptance']:.2f}",
        advice(options, results),
    ])  # fmt: skip


def advice(options: EstimateLikelihood, results: dict[str, float]) -> str:
    """Returns which figure to quote, and why.

    All figures are upper bounds in expectation, so the lowest is the tightest. It is NLL(k) only where this is lower
    than the annealed bound by over two standard errors.
    """
    more, name = results["annealed_minus_negative_log_likelihood"], f"NLL({options.num_samples:,})"
    quote, reasons = "annealed", []
    if more > 2 * results["annealed_minus_negative_log_likelihood_se"]:
        quote = "negative_log_likelihood"
        reasons.append(f"annealing is looser by {more:.2f} nats (more --num-temperatures tighten it)")
    if "annealed_from_prior" in results:
        apart = abs(results["annealed_from_encoder"] - results["annealed_from_prior"])
        reasons.append(f"the means of both starts differ by {apart:.2f} nats")
    if "trusted" in results:
        reasons.append(f"k-hat trusts {name} for {results['trusted']} of {options.n} examples")
    title = "annealed" if quote == "annealed" else name
    value = f"{results[quote]:.2f} +- {results[f'{quote}_se']:.2f}"
    because = f": {'; '.join(reasons)}" if reasons else ""
    return f"Quote {title}, {value}, an upper bound on -log p(x) in expectation{because}."


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models likelihood") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(EstimateLikelihood, arguments, program, EstimateLikelihood.__doc__)
        print(likelihood_table(options, estimate_likelihood(options)))
    return 0
