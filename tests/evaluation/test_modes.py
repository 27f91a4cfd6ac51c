"""Modes are counted as by hand, and a mixture's own samples cover all of its modes evenly."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.data import synthetic
from genjax_models.evaluation.modes import mode_coverage

CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])


def test_four_modes_by_hand():
    """Five samples at the first mode, one of them bad; two at the second; one bad sample nearest to the third."""
    samples = jnp.array([[0, 0], [0.29, 0], [0, -0.29], [0.2, 0.2], [0.3, 0.3], [4, 0], [4, 0.1], [0, 3.0]])
    coverage = mode_coverage(samples, CENTRES, 0.1)
    assert (int(coverage["modes_covered"]), int(coverage["modes_missed"])) == (2, 2)
    np.testing.assert_array_equal(coverage["high_quality"], [1, 1, 1, 1, 0, 1, 1, 0])
    shares = np.array([5, 2, 1]) / 8
    assert float(coverage["mode_divergence"].mean()) == pytest.approx(np.sum(shares * np.log(4 * shares)), rel=1e-5)
    # good: 1/2, 1/4, 0, 0 and a quarter elsewhere, from 1/4 each
    assert float(coverage["total_variation"].mean()) == pytest.approx(0.5)


def test_figures_have_the_standard_errors_of_repeated_samples():
    """400 sets of 500 samples at three modes of four, some of them bad."""
    random = np.random.RandomState(0)
    at = CENTRES[random.choice(4, size=(400, 500), p=[0.5, 0.3, 0.2, 0.0])]
    samples = jnp.asarray(at + np.where(random.uniform(size=(400, 500, 1)) < 0.1, 1.0, 0.0), jnp.float32)
    coverage = jax.vmap(lambda x: mode_coverage(x, CENTRES, 0.1))(samples)
    for values in (coverage["high_quality"], coverage["mode_divergence"], coverage["total_variation"]):
        errors = values.std(axis=1) / math.sqrt(500)
        # The spread of 400 figures is known to 1 / sqrt(800).
        assert float(values.mean(axis=1).std()) == pytest.approx(float(errors.mean()), rel=5 / math.sqrt(800))


def test_high_quality_is_measured_in_scales():
    samples = jnp.array([[0.0, 0.39], [4.0, 0.0]])
    for within, covered in ((3.0, 1), (4.0, 2)):
        assert int(mode_coverage(samples, CENTRES, 0.1, within=within)["modes_covered"]) == covered
        assert int(mode_coverage(10 * samples, 10 * CENTRES, 1.0, within=within)["modes_covered"]) == covered


def test_a_mode_may_need_several_samples():
    samples = jnp.array([[0.0, 0.0], [0.1, 0.0], [4.0, 0.0]])
    for at_least, covered in ((1, 2), (2, 1), (3, 0)):
        coverage = mode_coverage(samples, CENTRES, 0.1, at_least=at_least)
        assert (int(coverage["modes_covered"]), int(coverage["modes_missed"])) == (covered, 4 - covered)


def test_one_mode_only_has_divergence_log_m():
    coverage = mode_coverage(jnp.zeros((7, 2)), CENTRES, 0.1)
    assert int(coverage["modes_missed"]) == 3
    assert float(coverage["mode_divergence"].mean()) == pytest.approx(math.log(4), rel=1e-6)
    assert float(coverage["total_variation"].mean()) == pytest.approx(0.75)


def test_without_a_good_sample_all_must_move():
    coverage = mode_coverage(jnp.full((7, 2), 2.0), CENTRES, 0.1)
    assert int(coverage["modes_covered"]) == 0
    assert float(coverage["total_variation"].mean()) == 1
    assert np.isfinite(coverage["mode_divergence"]).all()


@pytest.mark.parametrize("name", ["ring8", "grid25"])
def test_a_mixtures_own_samples_cover_it(name):
    """A share 1 - exp(-9 / 2) of the points is within 3 scales; the counts of modes are multinomial."""
    modes, n = synthetic.SOURCES[name], 10_000
    centres, _ = modes.draw(np.random.RandomState(7), n)
    samples = centres + modes.scale * np.random.RandomState(8).normal(size=centres.shape)
    coverage = jax.jit(lambda x: mode_coverage(x, modes.centres, modes.scale))(jnp.asarray(samples, jnp.float32))
    m = len(modes.centres)
    assert (int(coverage["modes_covered"]), int(coverage["modes_missed"])) == (m, 0)
    good = 1 - math.exp(-9 / 2)
    assert float(coverage["high_quality"].mean()) == pytest.approx(good, abs=5 * math.sqrt(good * (1 - good) / n))
    # 2 n KL is chi-squared with m - 1 degrees of freedom
    assert 2 * n * float(coverage["mode_divergence"].mean()) == pytest.approx(m - 1, abs=5 * math.sqrt(2 * (m - 1)))
    assert float(coverage["total_variation"].mean()) < 1 - good + 5 * math.sqrt(m / n)


def test_wrong_arguments_are_refused():
    for change, message in [
        ({"samples": jnp.zeros((0, 2))}, "samples"),
        ({"samples": jnp.zeros((3, 3))}, "samples"),
        ({"scale": 0.0}, "`scale` must be positive, got 0.0"),
        ({"scale": float("nan")}, "`scale` must be positive"),
        ({"within": -1.0}, "`within` must be positive"),
        ({"at_least": 0}, "`at_least` must be positive"),
    ]:
        arguments = {"samples": jnp.zeros((3, 2)), "centres": CENTRES, "scale": 0.1} | change
        with pytest.raises(ValueError, match=message):
            mode_coverage(**arguments)


@pytest.mark.parametrize("diverged", [1e6, 1e20, -1e30])
def test_fault_84_one_diverged_sample_spoils_no_mode(diverged):
    """In distances from a common mean, a sample at 1e6 is 1e5 from the mean of ten, and squares lose 1e-7 of 1e10."""
    samples = jnp.concatenate([jnp.repeat(jnp.asarray(CENTRES, jnp.float32), 10, axis=0), jnp.full((1, 2), diverged)])
    coverage = jax.jit(lambda x: mode_coverage(x, CENTRES, 0.01))(samples)
    assert int(coverage["modes_covered"]) == 4
    np.testing.assert_array_equal(coverage["high_quality"], [1] * 40 + [0])
    assert float(coverage["total_variation"].mean()) == pytest.approx(1 / 41, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-25, 1e20])
def test_fault_90_modes_of_any_scale_are_counted(scale):
    samples = scale * jnp.asarray([[0.0, 0.0], [0.02, 0.0], [4.0, 0.05], [0.0, 4.0]])
    coverage = mode_coverage(samples, scale * CENTRES, 0.01 * scale)
    np.testing.assert_array_equal(coverage["high_quality"], [1, 1, 0, 1])


def test_fault_84_modes_far_from_the_origin_are_counted():
    samples = jnp.asarray(CENTRES + 4096.0, jnp.float32)
    coverage = mode_coverage(samples, CENTRES + 4096.0, 1e-3)
    assert int(coverage["modes_covered"]) == 4
