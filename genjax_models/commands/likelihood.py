"""How likely are test data under a finished run? NLL(k), checked by annealed importance sampling.

python -m genjax_models.commands.likelihood runs/iwae50

The run is one of experiments.vae or experiments.iwae. Printed, and written to likelihood.json in the run:

- NLL(k) of n test examples, from k samples of the encoder, and how many of them can be trusted by Pareto k-hat;
- the same by annealed importance sampling from the encoder's q(z | x) to the posterior. Both are upper bounds on
  -log p(x) in expectation; the lower of the two is the better;
- for n examples that the model draws, bounds from both sides (bidirectional Monte Carlo): how far off the annealed
  figure can be, if real data are no harder than the model's own.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from experiments.trained import trained
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Estimate log p(x) of test data under a finished run in two ways, and of its own draws from both sides."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    n: int = 100
    """Test examples, the first of the split, and as many draws of the model."""
    num_samples: int = 5_000
    """k of NLL(k)."""
    num_temperatures: int = 1_000
    """Of the annealing: the more, the tighter."""
    num_chains: int = 16
    """For each example."""
    num_leapfrog: int = 5
    """Leapfrog steps between two temperatures."""
    seed: int = 0
    """Of the chains, in [0, 2^32)."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on held-out data, or last."""

    def __post_init__(self):
        whole(2, n=self.n, num_temperatures=self.num_temperatures)
        whole(1, num_samples=self.num_samples, num_chains=self.num_chains, num_leapfrog=self.num_leapfrog)
        seed_in_range(self.seed)


def likelihood(options: Likelihood) -> dict[str, float]:
    """Estimates, and writes `likelihood.json`.

    Returns:
      Means over examples in nats, with their standard errors as "name_se".
    """
    import numpy as np

    from genjax_models.estimators.importance import pareto_k_threshold
    from genjax_models.evaluation.estimates import estimate

    weights, annealed, sandwich = _estimates(options)
    nll, bound = weights["negative_log_likelihood"], -annealed["lower_bound"]
    figures = {
        "negative_log_likelihood": estimate(nll),
        "annealed": estimate(bound),
        "annealed_minus_negative_log_likelihood": estimate(bound - nll),
        "of_own_draws_above": estimate(-sandwich["lower_bound"]),
        "of_own_draws_below": estimate(-sandwich["upper_bound"]),
        "of_own_draws_gap": estimate(sandwich["upper_bound"] - sandwich["lower_bound"]),
        "acceptance": estimate(annealed["acceptance"]),
    }
    found = {name: figure.mean for name, figure in figures.items()}
    found |= {f"{name}_se": figure.standard_error for name, figure in figures.items()}
    if "pareto_k_hat" in weights:
        found["trusted"] = int(np.sum(weights["pareto_k_hat"] <= pareto_k_threshold(options.num_samples)))
    asked = {name: str(value) for name, value in dataclasses.asdict(options).items()}
    (options.run / "likelihood.json").write_text(json.dumps({"options": asked, **found}, indent=2))
    return found


def _estimates(options: Likelihood) -> list[dict]:
    """NLL(k), the annealed bound, and the bounds of the model's own draws, example by example."""
    import jax
    from tqdm import tqdm

    import genjax_models as gx
    from genjax_models.runs.fit import evaluation_key

    run = trained(options.run, options.checkpoint)
    test = run.data.test
    if options.n > len(test.x):
        raise InputError(f"n must be at most {len(test.x)}, the test split of {run.config.data}, got {options.n}")
    test = jax.tree.map(lambda a: a[: options.n], test)
    key, label, model = jax.random.key(options.seed), run.label(test), run.model
    chains = {name: getattr(options, name) for name in ("num_temperatures", "num_chains", "num_leapfrog")}
    chains["label"] = label
    work = {
        f"NLL({options.num_samples:,})": lambda variables, x: gx.negative_log_likelihood(
            model, variables, evaluation_key(), x, label=label, num_samples=options.num_samples
        ),
        "annealing": lambda variables, x: gx.annealed_log_likelihood(model, variables, key, x, **chains),
        "both ways": lambda variables, x: gx.annealed_sandwich(model, variables, key, len(x), **chains),
    }
    done = []
    with tqdm(work.items(), file=sys.stderr, disable=None) as progress:
        for name, function in progress:
            progress.set_description(name)
            done.append(jax.device_get(jax.jit(function)(run.variables, test.x)))
    return done


def table(options: Likelihood, found: dict[str, float]) -> str:
    """What was found, in lines."""

    def line(words: str, name: str) -> str:
        return f"{words:58} {found[name]:8.2f} +- {found[name + '_se']:.2f}"

    trusted = f", trusted by k-hat for {found['trusted']}" if "trusted" in found else ""
    return "\n".join([
        f"-log p(x) in nats, {options.n} test examples and as many draws of the model",
        line(f"NLL({options.num_samples:,}){trusted}", "negative_log_likelihood"),
        line("annealed, from above", "annealed"),
        line("  difference", "annealed_minus_negative_log_likelihood"),
        line("the model's own draws, annealed from above", "of_own_draws_above"),
        line("the model's own draws, annealed from below", "of_own_draws_below"),
        line("  gap", "of_own_draws_gap"),
        f"acceptance of the chains {found['acceptance']:.2f}",
    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(Likelihood, arguments, "python -m genjax_models.commands.likelihood", Likelihood.__doc__)
        print(table(options, likelihood(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
