"""The table of checks of `genjax_models.commands.check_device`."""

from collections.abc import Iterator

from genjax_models.commands.checks import Check
from genjax_models.commands.oracles_of_likelihoods import (
    annealing_checks,
    elbo_checks,
    importance_sampling_checks,
    iwae_checks,
)
from genjax_models.commands.oracles_of_samples import density_checks, loss_checks, mmd_checks, moment_checks

PARTS = {
    "elbo": elbo_checks,
    "iwae": iwae_checks,
    "importance sampling": importance_sampling_checks,
    "annealing": annealing_checks,
    "losses": loss_checks,
    "mmd": mmd_checks,
    "moments": moment_checks,
    "densities": density_checks,
}


def checks() -> Iterator[Check]:
    """Yields all checks; each estimate is compiled when it is called."""
    for part in PARTS.values():
        yield from part()
