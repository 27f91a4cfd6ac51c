"""Figures of codes against named factors, for the report of a run."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genjax_models.evaluation.disentanglement import MutualInformationGap, mutual_information_gap
from genjax_models.evaluation.predictability import Readings, linear_readings
from genjax_models.types import Array


class FactorFigures(NamedTuple):
    """What codes know of known factors.

    Attributes:
      names: of the factors, `[f]`.
      readings: R^2 of each factor, read from one code and from all codes.
      gap: the mutual information gap.
    """

    names: tuple[str, ...]
    readings: Readings
    gap: MutualInformationGap

    def best(self, factor: int) -> tuple[int, float, float]:
        """Returns the dimension that reads a factor best, its R^2 and the standard error."""
        code = int(np.nanargmax(self.readings.one_code[:, factor]))
        return code, float(self.readings.one_code[code, factor]), float(self.readings.one_code_error[code, factor])


def factor_figures(codes: Array, factors: Array, names: Sequence[str], *, active: Array | None = None) -> FactorFigures:
    """Returns the figures of codes `[n, d]` and factors `[n, f]` with these names.

    Raises:
      ValueError: as `known_factors`; another number of names; or too few rows for a linear reader.
    """
    if len(names) != np.shape(factors)[-1]:
        raise ValueError(f"names must be {np.shape(factors)[-1]}, one per factor, got {len(names)}")
    readings = linear_readings(codes, factors, active=active)
    return FactorFigures(tuple(names), readings, mutual_information_gap(codes, factors, active=active))


def factor_row(figures: FactorFigures) -> dict[str, float]:
    """Returns the numbers by name, each with its standard error as "name_se", for the row of the test split."""
    gap, row = figures.gap.estimate, {}
    numbers = [("mutual_information_gap", gap.value, gap.standard_error)]
    for k, name in enumerate(figures.names):
        _, value, error = figures.best(k)
        numbers.append((f"r2_of_{name}_by_one_latent", value, error))
        numbers.append((f"mig_of_{name}", float(figures.gap.by_factor[k]), float(figures.gap.by_factor_error[k])))
        together = float(figures.readings.all_codes[k]), float(figures.readings.all_codes_error[k])
        numbers.append((f"r2_of_{name}_by_all_latents", *together))
    for name, value, error in numbers:
        row[name] = value
        if not math.isnan(error):
            row[f"{name}_se"] = error
    return row
