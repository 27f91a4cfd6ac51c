"""The check of a device passes where all is right, and sees what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.commands import check_device, oracles
from genjax_models.commands.check_device import bits_kept, look
from genjax_models.estimators import kernels


def check(part, start):
    """The one check of a part whose name starts like that, made anew: of the modules as they are now."""
    (found,) = [c for c in oracles.PARTS[part]() if c.name.startswith(start)]
    return found


def rounded(a, bits):
    """As an operand that keeps so many bits; its cotangent is rounded too, as that of a product's is."""
    return jax.lax.reduce_precision(a, exponent_bits=8, mantissa_bits=bits - 1)


def linear_in(bits):
    """`oracles._linear` with products of matrices that keep so many bits."""

    def linear(p):
        def likelihood(z):
            mean = jnp.matmul(rounded(z, bits), rounded(p["W"], bits).T) + p["b"]
            return oracles.diagonal_normal(mean, jnp.broadcast_to(jnp.exp(p["log_s2"] / 2), mean.shape))

        return likelihood

    return linear


def whole_command(capsys, *arguments):
    assert check_device.main(list(arguments)) == 0
    shown = capsys.readouterr().out
    assert "WRONG" not in shown
    for precision in ("float32", "default", "bfloat16"):  # which a CPU takes for one another
        assert f"\n{precision}: products of matrices keep 24 bits" in shown
    count = len(list(oracles.checks())) + 3
    assert f"{count} of {count} are right" in shown


def test_the_command_says_that_all_is_right(monkeypatch, capsys):
    monkeypatch.setattr(oracles, "PARTS", {name: oracles.PARTS[name] for name in ("payoffs", "densities")})
    whole_command(capsys, "--draws", "1000")


@pytest.mark.slow
def test_on_this_device_all_estimators_are_right(capsys):
    whole_command(capsys)


MISTAKES = {  # the check that sees it, where the estimator is found, and what stands there instead
    "a gradient that is biased for k > 1": (
        ("iwae", "iwae_bound, doubly"),
        (oracles, "iwae_bound"),
        lambda f: lambda *args, gradient, **options: f(*args, gradient="sticking_the_landing", **options),
    ),
    "a KL averaged over dimensions": (
        ("elbo", "kl_by_dimension"),
        (oracles, "kl_by_dimension"),
        lambda f: lambda q, p: f(q, p) / 4,
    ),
    "pairs of a point with itself": (
        ("mmd", "mmd_squared_unbiased"),
        (oracles.mmd, "mmd_squared_unbiased"),
        lambda f: oracles.mmd.mmd_squared_biased,
    ),
    "a moment about the origin": (
        ("moments", "central_moments"),
        (oracles.moments, "central_moments"),
        lambda f: oracles.moments.raw_moments,
    ),
    "annealing that stops short of the posterior": (
        ("annealing", "annealed_importance_sampling"),
        (oracles, "annealed_importance_sampling"),
        lambda f: (
            lambda *args, **options: f(*args, **options)._replace(log_weights=0.95 * f(*args, **options).log_weights)
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_seen(mistake, monkeypatch):
    which, (module, attribute), wrong = MISTAKES[mistake]
    assert look(check(*which), 2_000, bits=24).right
    monkeypatch.setattr(module, attribute, wrong(getattr(module, attribute)))
    assert not look(check(*which), 2_000, bits=24).right


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
def test_what_products_may_move_is_enough_and_not_too_much(part, name, bits, monkeypatch):
    """Products that keep few bits are forgiven where it is known that they do, and by about as much as they do."""
    monkeypatch.setattr(oracles, "_linear", linear_in(bits))
    found = look(check(part, name), 4_000, bits)
    assert found.right
    if part == "importance sampling":  # at p(z | x) there is no other error
        assert found.error > found.allowed / 30
        assert not look(check(part, name), 4_000, 24).right


def test_what_asks_for_float32_is_forgiven_nothing(monkeypatch):
    """As the kernels would be if they took a device's default."""
    distances = kernels.squared_distances
    monkeypatch.setattr(kernels, "squared_distances", lambda x, y: distances(rounded(x, 11), rounded(y, 11)))
    for name in ("gaussian_kernel", "laplace_kernel", "mmd_squared_biased, 100 x"):
        assert not look(check("mmd", name), 1, bits=8).right


@pytest.mark.parametrize(("bits", "seen"), [(24, 24), (11, 11), (8, 8), (5, None)])
def test_the_bits_that_products_keep_are_measured(bits, seen, monkeypatch):
    product = jnp.matmul
    monkeypatch.setattr(jnp, "matmul", lambda a, b: product(rounded(a, bits), rounded(b, bits)))
    assert bits_kept() == seen


def test_one_that_is_off_is_named_and_makes_the_command_fail(monkeypatch, capsys):
    of = lambda name, values, exact: oracles.Check(name, lambda draws: jnp.asarray(values), np.asarray(exact))

    def unable(draws):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no such code\nand more")

    table = [
        of("as it should be", [[1.0, 2.0]], [1.0, 2.00001]),
        of("one number off", [[1.0, 2.0]], [1.0, 2.01]),
        of("no number", [[1.0, np.nan]], [1.0, 2.0]),
        of("a mean that is near", [[1.0], [2.0], [3.0]], [2.5]),
        of("a mean that is far", [[1.0], [1.1], [0.9]], [2.5]),
        oracles.Check("not on this device", unable, np.zeros(1)),
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


def test_an_oracle_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="estimates of 2 numbers, of which 3 are known"):
        look(oracles.Check("a check", lambda draws: jnp.zeros((1, 2)), np.zeros(3)), 1, 24)


def test_too_few_draws_are_refused_in_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        check_device.main(["--draws", "10"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "draws must be an integer of at least 100, got 10" in line
