"""During the head start the generator rests and payoffs share the discriminator; gradients vanish as in theory."""

import numpy as np
import pytest
from PIL import Image

from experiments.studies import payoffs
from experiments.studies.payoffs import PAYOFFS, Payoffs
from genjax_models.systems.groups import Optimizer

HEAD_START = 10  # points


@pytest.fixture(scope="module")
def runs(files):
    optimizer = Optimizer(learning_rate=1e-2, b1=0.5)
    options = Payoffs(
        data=str(files / "images.npz"), seeds=2, head_start=100, steps=20, batch_size=20, hidden=(32,), latent=4,
        optimizer=optimizer,
    )  # fmt: skip
    return options, payoffs.measure(options)


@pytest.mark.slow
def test_during_the_head_start_all_payoffs_have_the_same_discriminator(runs):
    _, by_payoff = runs
    for run in by_payoff.values():
        np.testing.assert_array_equal(run.step, np.arange(10, 130, 10))
        assert run.gradient_norm.shape == run.accuracy.shape == (2, 12)
        np.testing.assert_allclose(
            run.accuracy[:, :HEAD_START], by_payoff["minimax"].accuracy[:, :HEAD_START], atol=1e-6
        )
        assert np.any(run.gradient_norm[0] != run.gradient_norm[1])  # seeds differ
        assert np.abs(run.samples).max() <= 1


@pytest.mark.slow
def test_the_gradient_vanishes_for_saturating_payoffs_only(runs):
    _, by_payoff = runs
    assert by_payoff["minimax"].accuracy[:, HEAD_START - 1].min() == 1
    for payoff, grows in (("minimax", False), ("maximum_likelihood", False), ("non_saturating", True)):
        first, last = by_payoff[payoff].gradient_norm[:, [0, HEAD_START - 1]].T
        assert np.all(last > first if grows else last < 0.05 * first), payoff


@pytest.mark.slow
def test_the_generator_rests_during_the_head_start_and_moves_after_it(runs, files):
    import jax

    import genjax_models as gx

    options, _ = runs
    data = gx.prepare(gx.load(options.data), binarise="none", range=(-1, 1))
    objective = payoffs.build(options, "minimax", (8, 8, 1))
    trainer = payoffs.trainer(options, objective)
    state = start = trainer.init(jax.random.key(0), data.example)
    run = gx.loop_over_data(trainer, batch_size=20, prepare=data.each_step, chunk=100)
    weights = lambda state, player: np.concatenate([a.ravel() for a in jax.tree.leaves(state.variables[player])])
    initial = {player: weights(start, player) for player in ("generator", "discriminator")}
    state, _ = run(state, data.train, 100)
    np.testing.assert_array_equal(weights(state, "generator"), initial["generator"])
    assert np.all(weights(state, "discriminator") != initial["discriminator"])
    state, _ = run(state, data.train, 1)
    moved = np.abs(weights(state, "generator") - initial["generator"])
    # Adam's first step is the learning rate: gradients of the head start have no effect.
    assert moved.max() == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.slow
def test_the_command_draws_and_prints(runs, files, tmp_path, capsys, monkeypatch):
    options, by_payoff = runs
    monkeypatch.setattr(payoffs, "play", lambda options, payoff, data: by_payoff[payoff])
    out = tmp_path / "new" / "payoffs.png"
    arguments = f"--data {options.data} --head-start 100 --steps 20 --batch-size 20 --to {out}"
    assert payoffs.main(arguments.split()) == 0
    heading, *rows, path = capsys.readouterr().out.strip().splitlines()
    assert path == str(out)
    assert heading.split() == ["at", "first", "head", "start", "at", "last"]
    assert [row.split()[0] for row in rows] == ["minimax", "non-saturating", "maximum"]
    low, high = np.sort(by_payoff["minimax"].gradient_norm[:, HEAD_START - 1])
    assert f"{(low * high) ** 0.5:.1e} ({low:.0e} to {high:.0e})" in rows[0]
    with Image.open(out) as picture:
        assert min(picture.size) > 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--data {}/negative.npz", ["negative.npz", "-1", "range"]),  # floats below 0 without a range
        ("--data {}/too_large.npz", ["too_large.npz"]),
        ("--data {}/vectors.npz", ["images", "(8,)", "vectors.npz"]),
        ("--data moons", ["images", "(2,)", "moons"]),
        ("--batch-size 20000", ["batch_size must be at most 8000", "20000"]),
        ("--head-start 0", ["head_start must be an integer of at least 20", "0"]),
        ("--head-start 105", ["head_start must be a multiple of 10", "105"]),
        ("--steps -10", ["steps", "-10"]),
        ("--seeds 0", ["seeds must be an integer of at least 1", "0"]),
        ("--payoff minimax", ["--payoff"]),
    ],
)
def test_refused_options_give_one_line_before_compilation(arguments, words, files, tmp_path, capsys, monkeypatch):
    def played(*_):
        raise AssertionError("played")

    monkeypatch.setattr(payoffs, "play", played)
    out = tmp_path / "payoffs.png"
    with pytest.raises(SystemExit) as stop:
        payoffs.main([*arguments.format(files).split(), "--to", str(out)])
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert all(word in message for word in words), message
    assert not out.exists()


def test_all_payoffs_of_the_book_are_there():
    assert set(PAYOFFS) == {"minimax", "non_saturating", "maximum_likelihood"}
