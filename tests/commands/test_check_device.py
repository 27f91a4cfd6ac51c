"""The check of a device passes if all estimators are right, and names each wrong one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.commands import check_device, oracles, oracles_of_likelihoods, oracles_of_samples
from genjax_models.commands.check_device import bits_kept, compare_with_exact
from genjax_models.commands.checks import Check
from genjax_models.estimators import kernels


def check(part, start):
    """Returns the one check of a part whose name starts with `start`, built from the modules as they are now."""
    (only,) = [check for check in oracles.PARTS[part]() if check.name.startswith(start)]
    return only


def rounded(a, bits):
    """Returns an operand with so many bits. Its cotangent is rounded too, as in a matrix product."""
    return jax.lax.reduce_precision(a, exponent_bits=8, mantissa_bits=bits - 1)


def linear_in(bits):
    """Returns `_linear` with matrix products that keep so many bits."""

    def linear(p):
        def likelihood(z):
            mean = jnp.matmul(rounded(z, bits), rounded(p["W"], bits).T) + p["b"]
            return oracles_of_likelihoods.diagonal_normal(mean, jnp.broadcast_to(jnp.exp(p["log_s2"] / 2), mean.shape))

        return likelihood

    return linear


def assert_all_right(capsys, *arguments):
    assert check_device.main(list(arguments)) == 0
    output = capsys.readouterr().out
    assert "WRONG" not in output
    for precision in ("float32", "default", "bfloat16"):  # a CPU computes all in float32
        assert f"\n{precision}: matrix products keep 24 bits, like float32" in output
    assert output.count("the same bits as at float32: not checked again") == 2
    count = len(list(oracles.checks())) + 3
    assert f"{count} of {count} are right" in output


@pytest.mark.slow
def test_the_command_says_that_all_is_right(monkeypatch, capsys):
    monkeypatch.setattr(oracles, "PARTS", {name: oracles.PARTS[name] for name in ("losses", "densities")})
    assert_all_right(capsys, "--draws", "1000")


@pytest.mark.slow
def test_on_this_device_all_estimators_are_right(capsys):
    assert_all_right(capsys)


MISTAKES = {  # the check that detects it, the estimator's place, and the wrong estimator
    "a gradient that is biased for k > 1": (
        ("iwae", "iwae_bound, doubly"),
        (oracles_of_likelihoods, "iwae_bound"),
        lambda f: lambda *args, gradient, **options: f(*args, gradient="sticking_the_landing", **options),
    ),
    "a KL averaged over dimensions": (
        ("elbo", "kl_by_dimension"),
        (oracles_of_likelihoods, "kl_by_dimension"),
        lambda f: lambda q, p: f(q, p) / 4,
    ),
    "pairs of a point with itself": (
        ("mmd", "mmd_squared_unbiased"),
        (oracles_of_samples.mmd, "mmd_squared_unbiased"),
        lambda f: oracles_of_samples.mmd.mmd_squared_biased,
    ),
    "a moment about the origin": (
        ("moments", "central_moments"),
        (oracles_of_samples.moments, "central_moments"),
        lambda f: oracles_of_samples.moments.raw_moments,
    ),
    "annealing that stops short of the posterior": (
        ("annealing", "annealed_importance_sampling"),
        (oracles_of_likelihoods, "annealed_importance_sampling"),
        lambda f: (
            lambda *args, **options: f(*args, **options)._replace(log_weights=0.95 * f(*args, **options).log_weights)
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_detected(mistake, monkeypatch):
    which, (module, attribute), wrong = MISTAKES[mistake]
    assert compare_with_exact(check(*which), 2_000, bits=24).right
    monkeypatch.setattr(module, attribute, wrong(getattr(module, attribute)))
    assert not compare_with_exact(check(*which), 2_000, bits=24).right


@pytest.mark.parametrize("bits", [8, 11])
@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("elbo", "elbo, kl"),
        ("iwae", "iwae_bound, full covariance, and"),
        ("importance sampling", "log_likelihood at"),
        ("annealing", "annealed"),
    ],
)
@pytest.mark.slow
def test_the_error_allowed_for_imprecise_products_is_enough_and_not_too_much(part, name, bits, monkeypatch):
    """The allowed error covers products with few bits, and is about as large as their error."""
    monkeypatch.setattr(oracles_of_likelihoods, "_linear", linear_in(bits))
    comparison = compare_with_exact(check(part, name), 4_000, bits)
    assert comparison.right
    if part == "importance sampling":  # at p(z | x) there is no other error
        assert comparison.error > comparison.allowed / 30
        assert not compare_with_exact(check(part, name), 4_000, 24).right


def test_estimators_that_compute_in_float32_get_no_extra_error(monkeypatch):
    """The kernels, as if they computed at a device's default precision."""
    distances = kernels.squared_distances
    monkeypatch.setattr(kernels, "squared_distances", lambda x, y: distances(rounded(x, 11), rounded(y, 11)))
    for name in ("gaussian_kernel", "laplace_kernel", "mmd_squared_biased, 100 x"):
        assert not compare_with_exact(check("mmd", name), 1, bits=8).right


@pytest.mark.parametrize(("bits", "measured"), [(24, 24), (11, 11), (8, 8), (5, None)])
def test_the_bits_that_products_keep_are_measured(bits, measured, monkeypatch):
    product = jnp.matmul
    monkeypatch.setattr(jnp, "matmul", lambda a, b: product(rounded(a, bits), rounded(b, bits)))
    assert bits_kept() == measured


def test_a_wrong_estimator_is_named_and_makes_the_command_fail(monkeypatch, capsys):
    check_of = lambda name, values, exact: Check(name, lambda draws: jnp.asarray(values), np.asarray(exact))

    def unable(draws):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no such code\nand more")

    table = [
        check_of("as it should be", [[1.0, 2.0]], [1.0, 2.00001]),
        check_of("one number off", [[1.0, 2.0]], [1.0, 2.01]),
        check_of("no number", [[1.0, np.nan]], [1.0, 2.0]),
        check_of("a mean that is near", [[1.0], [2.0], [3.0]], [2.5]),
        check_of("a mean that is far", [[1.0], [1.1], [0.9]], [2.5]),
        Check("not on this device", unable, np.zeros(1)),
    ]
    monkeypatch.setattr(oracles, "checks", lambda: iter(table))
    assert check_device.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "5 of 9 are right" in lines[-5]
    assert [line.removeprefix("WRONG: ") for line in lines[-4:]] == [
        f"{name} at float32" for name in ("one number off", "no number", "a mean that is far", "not on this device")
    ]
    (off,) = [line for line in lines if line.strip().startswith("one number off")]
    assert off.split()[3:] == ["2", "2.01", "1.0e-02", "4.0e-05", "WRONG"]
    assert any(line.endswith("WRONG UNIMPLEMENTED: no such code") for line in lines)


def test_an_exact_value_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="a check: the estimate must have 3 numbers, got 2"):
        compare_with_exact(Check("a check", lambda draws: jnp.zeros((1, 2)), np.zeros(3)), 1, 24)


def test_too_few_draws_are_one_line(refused):
    assert refused(check_device, "--draws", "10") == "draws must be an integer of at least 100, got 10 (see --help)"
