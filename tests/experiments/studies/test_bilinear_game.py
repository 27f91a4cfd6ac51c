"""Orbits are those of arithmetic, the trainer keeps what each way of moving conserves, and cures are what they say."""

import math
import os
import subprocess
import sys

import numpy as np
import optax
import pytest
from PIL import Image

from experiments.studies import bilinear_game
from experiments.studies.bilinear_game import (
    BilinearGame,
    circle,
    conserved,
    factors,
    game_from,
    measure,
    opposed,
    play,
)

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
WAYS = ("simultaneous", "alternating", "continuous", "extragradient", "optimistic", "consensus")


@pytest.fixture(scope="module")
def orbits():
    return play(OPTIONS)


@pytest.mark.parametrize("way", ORACLE)
def test_orbits_are_those_of_arithmetic(orbits, way):
    assert tuple(orbits) == WAYS
    for step, at in ORACLE[way].items():
        np.testing.assert_allclose(orbits[way][step], at, atol=2e-5 * np.hypot(*at))


def test_simultaneous_moves_drift_away_by_a_constant_factor(orbits):
    radius = np.linalg.norm(orbits["simultaneous"], axis=1)
    np.testing.assert_allclose(radius[1:] / radius[:-1], math.sqrt(1.01), rtol=1e-6)
    np.testing.assert_allclose(radius[[1, 2, 10, 100]], [1.42126704, 1.4283557, 1.48635267, 2.32586063], rtol=1e-5)
    np.testing.assert_allclose(radius[1_000], 204.73961823649918, rtol=1e-4)


def test_alternating_moves_stay_on_an_ellipse(orbits):
    np.testing.assert_allclose(conserved(OPTIONS, orbits["alternating"]), 1.9, rtol=1e-5)
    radius = np.linalg.norm(orbits["alternating"], axis=1)
    np.testing.assert_allclose([radius.min(), radius.max()], [1.3451854182690985, 1.4142135623730951], rtol=1e-3)
    assert np.ptp(conserved(OPTIONS, orbits["simultaneous"][:100])) > 1  # what is conserved is so by alternating alone


def test_continuous_time_is_a_circle_to_the_rate_of_its_moves(orbits):
    np.testing.assert_allclose(circle(OPTIONS)[10], (-0.30116867893975674, 1.3817732906760363), rtol=1e-6)
    np.testing.assert_allclose(circle(BilinearGame(eta=math.pi / 8))[4], (-1, 1), rtol=1e-6)
    apart = np.linalg.norm(orbits["continuous"] - circle(OPTIONS), axis=1).max()
    assert apart < OPTIONS.eta / OPTIONS.refinement * math.sqrt(2)
    coarse = BilinearGame(eta=0.1, refinement=25)
    apart_coarse = np.linalg.norm(play(coarse)["continuous"] - circle(coarse), axis=1).max()
    assert apart_coarse / apart == pytest.approx(2, rel=0.2)  # it is of first order


def test_cures_are_their_recurrences(orbits):
    """In w = a + i b, a step of gradient descent adds i eta w."""
    turn, w = 0.1j, {way: [1 + 1j] for way in ("extragradient", "optimistic", "consensus")}
    for t in range(300):
        old = w["extragradient"][t]
        w["extragradient"].append(old + turn * (old + turn * old))
        old, before = w["optimistic"][t], w["optimistic"][max(t - 1, 0)]
        w["optimistic"].append(old + turn * (2 * old - before))
        old = w["consensus"][t]
        w["consensus"].append(old + turn * old - 0.1 * old)
    for way, exact in w.items():
        a, b = orbits[way][:301].T
        np.testing.assert_allclose(a + 1j * b, exact, rtol=1e-4)
        assert abs(exact[-1]) < 0.35


@pytest.mark.parametrize("eta", [0.02, 0.45])
def test_factors_are_roots_of_the_recurrences(eta):
    roots = np.roots([1, -(1 + 2j * eta), 1j * eta])
    known = factors(BilinearGame(eta=eta, gamma=0.7))
    assert known["optimistic"] == pytest.approx(np.abs(roots).max())
    assert known["extragradient"] == pytest.approx(abs(1 + 1j * eta - eta**2))
    assert known["consensus"] == pytest.approx(abs(1 - 0.7 * eta + 1j * eta))


def test_what_is_known_is_what_is_seen(orbits):
    rows = measure(OPTIONS, orbits)
    assert {row.way for row in rows} == set(WAYS)
    for row in rows:
        slack = 0.002 * 1.5 if row.way == "continuous" else 2e-5
        assert row.value - slack < row.least <= row.largest < row.value + slack, row
    swapped = {**orbits, "alternating": orbits["simultaneous"], "extragradient": orbits["optimistic"]}
    wrong = {row.way: row for row in measure(OPTIONS, swapped)}
    assert wrong["alternating"].largest > wrong["alternating"].value + 1
    assert abs(wrong["extragradient"].least - wrong["extragradient"].value) > 5e-5


def test_who_moves_first_matters_and_both_see_the_other():
    game = game_from((1.0, 1.0), opposed)
    assert list(game.losses) == ["a", "b"]
    np.testing.assert_allclose(bilinear_game.orbit(game, optax.sgd(0.1), 1)[1], (0.9, 1.09), rtol=1e-6)


def test_the_command_draws_and_prints(tmp_path, capsys):
    out = tmp_path / "new" / "orbits.png"
    assert bilinear_game.main(["--refinement", "4", "--out", str(out)]) == 0
    _heading, *rows, path = capsys.readouterr().out.strip().splitlines()
    assert path == str(out)
    assert [row.split()[0] for row in rows] == [*WAYS[:3], *WAYS[2:]]
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
def test_what_cannot_be_played_is_one_line(arguments, words, tmp_path, capsys):
    out = tmp_path / "orbits.png"
    with pytest.raises(SystemExit) as stop:
        bilinear_game.main([*arguments.split(), "--out", str(out)])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words), said
    assert not out.exists()


def test_help_imports_nothing_heavy():
    code = """
import sys
from experiments.studies import bilinear_game
try:
    bilinear_game.main(["--help"])
except SystemExit as stop:
    print("status", stop.code)
print("imported", [name for name in ("jax", "flax", "optax", "numpy", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ)
    assert "status 0\nimported []" in done.stdout, done.stdout + done.stderr
