"""Orbits match arithmetic and theory, and the command draws and prints them."""

import math

import numpy as np
import optax
import pytest
from PIL import Image

from experiments.studies.bilinear_game.__main__ import main
from experiments.studies.bilinear_game.game import bilinear_game, opposed, orbit
from experiments.studies.bilinear_game.measurement import BilinearGame, measure, play
from experiments.studies.bilinear_game.theory import circle, conserved, factors

# Rate 0.1 from (1, 1): (a, b) after so many steps.
ORACLE = {
    "simultaneous": {
        1: (0.9, 1.1),
        2: (0.79, 1.19),
        10: (-0.31171756010000007, 1.4532984599),
        100: (-0.5603400541582387, -2.257353911673798),
        1000: (204.13431705945368, -15.731874468665982),
    },
    "alternating": {
        1: (0.9, 1.09),
        2: (0.791, 1.1691),
        10: (-0.26066161805206245, 1.3405641199190794),
        100: (-0.31600291354404897, -1.3575869406767258),
        1000: (1.329710998357589, 0.43565893627549845),
    },
}
OPTIONS = BilinearGame(eta=0.1, steps=1_000, refinement=50)
METHODS = ("simultaneous", "alternating", "continuous", "extragradient", "optimistic", "consensus")


@pytest.fixture(scope="module")
def orbits():
    return play(OPTIONS)


@pytest.mark.parametrize("method", ORACLE)
def test_orbits_match_arithmetic(orbits, method):
    assert tuple(orbits) == METHODS
    for step, point in ORACLE[method].items():
        np.testing.assert_allclose(orbits[method][step], point, atol=2e-5 * np.hypot(*point))


def test_simultaneous_moves_drift_away_by_a_constant_factor(orbits):
    radius = np.linalg.norm(orbits["simultaneous"], axis=1)
    np.testing.assert_allclose(radius[1:] / radius[:-1], math.sqrt(1.01), rtol=1e-6)
    np.testing.assert_allclose(radius[[1, 2, 10, 100]], [1.42126704, 1.4283557, 1.48635267, 2.32586063], rtol=1e-5)
    np.testing.assert_allclose(radius[1_000], 204.73961823649918, rtol=1e-4)


def test_alternating_moves_stay_on_an_ellipse(orbits):
    np.testing.assert_allclose(conserved(OPTIONS.eta, orbits["alternating"]), 1.9, rtol=1e-5)
    radius = np.linalg.norm(orbits["alternating"], axis=1)
    np.testing.assert_allclose([radius.min(), radius.max()], [1.3451854182690985, 1.4142135623730951], rtol=1e-3)
    assert np.ptp(conserved(OPTIONS.eta, orbits["simultaneous"][:100])) > 1  # only alternating moves conserve it


def test_continuous_time_is_a_circle_to_the_rate_of_its_moves(orbits):
    exact = circle(OPTIONS.start, OPTIONS.eta, OPTIONS.steps)
    np.testing.assert_allclose(exact[10], (-0.30116867893975674, 1.3817732906760363), rtol=1e-6)
    np.testing.assert_allclose(circle((1.0, 1.0), math.pi / 8, 4)[4], (-1, 1), rtol=1e-6)
    distance = np.linalg.norm(orbits["continuous"] - exact, axis=1).max()
    assert distance < OPTIONS.eta / OPTIONS.refinement * math.sqrt(2)
    coarse = BilinearGame(eta=0.1, refinement=25)
    coarse_orbit, exact = play(coarse)["continuous"], circle(coarse.start, coarse.eta, coarse.steps)
    coarse_distance = np.linalg.norm(coarse_orbit - exact, axis=1).max()
    assert coarse_distance / distance == pytest.approx(2, rel=0.2)  # first order in the rate


def test_cures_match_their_recurrences(orbits):
    """In w = a + i b, a step of gradient descent adds i eta w."""
    turn, w = 0.1j, {method: [1 + 1j] for method in ("extragradient", "optimistic", "consensus")}
    for t in range(300):
        old = w["extragradient"][t]
        w["extragradient"].append(old + turn * (old + turn * old))
        old, before = w["optimistic"][t], w["optimistic"][max(t - 1, 0)]
        w["optimistic"].append(old + turn * (2 * old - before))
        old = w["consensus"][t]
        w["consensus"].append(old + turn * old - 0.1 * old)
    for method, exact in w.items():
        a, b = orbits[method][:301].T
        np.testing.assert_allclose(a + 1j * b, exact, rtol=1e-4)
        assert abs(exact[-1]) < 0.35


@pytest.mark.parametrize("eta", [0.02, 0.45])
def test_factors_are_roots_of_the_recurrences(eta):
    roots = np.roots([1, -(1 + 2j * eta), 1j * eta])
    exact = factors(eta, gamma=0.7)
    assert exact["optimistic"] == pytest.approx(np.abs(roots).max())
    assert exact["extragradient"] == pytest.approx(abs(1 + 1j * eta - eta**2))
    assert exact["consensus"] == pytest.approx(abs(1 - 0.7 * eta + 1j * eta))


def test_measured_quantities_match_theory(orbits):
    rows = measure(OPTIONS, orbits)
    assert {row.method for row in rows} == set(METHODS)
    for row in rows:
        slack = 0.002 * 1.5 if row.method == "continuous" else 2e-5
        assert row.exact - slack < row.least <= row.largest < row.exact + slack, row
    swapped = {**orbits, "alternating": orbits["simultaneous"], "extragradient": orbits["optimistic"]}
    wrong = {row.method: row for row in measure(OPTIONS, swapped)}
    assert wrong["alternating"].largest > wrong["alternating"].exact + 1
    assert abs(wrong["extragradient"].least - wrong["extragradient"].exact) > 5e-5


def test_a_moves_first_and_b_answers():
    game = bilinear_game((1.0, 1.0), opposed)
    assert list(game.losses) == ["a", "b"]
    np.testing.assert_allclose(orbit(game, optax.sgd(0.1), 1)[1], (0.9, 1.09), rtol=1e-6)


def test_the_command_draws_and_prints(tmp_path, capsys):
    out = tmp_path / "new" / "orbits.png"
    assert main(["--refinement", "4", "--to", str(out)]) == 0
    _heading, *rows, path = capsys.readouterr().out.strip().splitlines()
    assert path == str(out)
    assert [row.split()[0] for row in rows] == [*METHODS[:3], *METHODS[2:]]
    with Image.open(out) as picture:
        assert min(picture.size) > 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--eta 0.5", ["eta must be below 0.5", "got 0.5"]),
        ("--eta 0", ["eta must be positive", "0.0"]),
        ("--eta nan", ["eta must be positive", "nan"]),
        ("--gamma 0.1", ["gamma", "less than 1", "0.1"]),
        ("--gamma -1", ["gamma must be positive", "-1.0"]),
        ("--start 0 0", ["start", "(0, 0)"]),
        ("--start 1 inf", ["start must be finite", "inf"]),
        ("--steps 199", ["steps", "at least 200", "199"]),
        ("--steps 2000", ["steps", "within a radius of 1e+15", "2000"]),
        ("--refinement 0", ["refinement", "at least 1"]),
        ("--etta 1", ["--etta", "did you mean --eta?"]),
    ],
)
def test_refused_options_give_one_line(arguments, words, tmp_path, capsys):
    out = tmp_path / "orbits.png"
    with pytest.raises(SystemExit) as stop:
        main([*arguments.split(), "--to", str(out)])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert all(word in message for word in words), message
    assert not out.exists()
