"""Bounds where log p(x) is known: exact at the smoothing q, except FIVO that always resamples."""

import dataclasses

import numpy as np
import pytest

from experiments.studies import filtering
from experiments.studies.filtering import Filtering, Gap
from genjax_models.errors import InputError

OPTIONS = Filtering(particles=(1, 4), steps=20, sequences=2_000)


@pytest.mark.slow  # 8 compilations
def test_gaps_of_every_proposal():
    """At 5 standard errors. Bounds of one particle are the ELBO; more particles are closer."""
    gaps = filtering.measure(OPTIONS)
    for bounds in gaps.values():
        assert list(bounds) == list(filtering.BOUNDS)
        assert len({gap.mean[0] for gap in bounds.values()}) == 1
        for gap in bounds.values():
            assert (gap.mean > -5 * gap.error - 1e-3).all()
    exact = gaps["smoothing"]
    np.testing.assert_allclose(exact["IWAE"].mean, 0, atol=1e-3)
    assert exact["FIVO, always"].mean[1] > 5 * exact["FIVO, always"].error[1]  # below the ELBO, which is exact
    for proposal in ("prior", "filter"):
        gap = gaps[proposal]["IWAE"]
        assert gap.mean[0] - gap.mean[1] > 5 * gap.error[0]
    fivo, iwae = gaps["prior"]["FIVO"], gaps["prior"]["IWAE"]
    assert iwae.mean[1] - fivo.mean[1] > 5 * (iwae.error[1] + fivo.error[1])


@pytest.fixture
def gaps():
    """Gaps as `measure` returns them."""
    gap = Gap(np.array([1.25, 0.0]), np.array([0.5, 0.0]))
    return {proposal: dict.fromkeys(filtering.BOUNDS, gap) for proposal in filtering.PROPOSALS}


def test_the_command_draws_and_prints_a_line_for_each_number_of_particles(gaps, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(filtering, "measure", lambda options: gaps)
    out = tmp_path / "new" / "picture.png"
    assert filtering.main(["--particles", "1", "4", "--to", str(out)]) == 0
    proposals, names, first, second, where = capsys.readouterr().out.splitlines()
    assert all(words in proposals for words in filtering.PROPOSALS.values())
    assert names.split()[0] == "N"
    assert first.split() == ["1", *["1.250(0.500)"] * 9]
    assert second.split() == ["4", *["0.000(0.000)"] * 9]
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [{"particles": (0,)}, {"particles": ()}, {"steps": 0}, {"sequences": 1}, {"emission_scale": 0.0}, {"seed": -1}],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        dataclasses.replace(OPTIONS, **wrong)
