"""`fit`: what it records and when, that chunks and clocks leave no trace in it, and how it stops."""

import io
import re
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.data.prepare import Prepared
from genjax_models.data.splits import Split
from genjax_models.errors import InputError, NonFiniteError
from genjax_models.runs import feed
from genjax_models.runs.configuration import Training
from genjax_models.runs.fit import fit
from genjax_models.types import Aux, Batch, Objective

W0, RATE = 3.0, 0.1
EXAMPLES, BATCH = 12, 4  # three steps in an epoch, nothing dropped
NEVER = -1


def quadratic(nan_at=NEVER):
    """Loss w^2 / 2 + mean(x): w shrinks by 1 - RATE at each step. "rows" is the set of rows in the batch, as bits.

    Two players do the same; a third is frozen.
    """

    def loss(player):
        def value(variables, key, batch, step):
            w = variables[player]["params"]["w"]
            fails = (step == nan_at) & (player == "second")
            value = 0.5 * w**2 + jnp.mean(batch.x)
            return jnp.where(fails, jnp.nan, value), Aux(
                {"rows": jnp.sum(2.0**batch.x), "noise": jax.random.normal(key)}
            )

        return value

    def init(key, batch):
        frozen = {"params": {"w": jax.random.normal(key)}}
        return {**{player: {"params": {"w": jnp.float32(W0)}} for player in ("first", "second")}, "frozen": frozen}

    return Objective(init, {"first": loss("first"), "second": loss("second")}, lambda *_: None)


def sgd(objective):
    return gx.trainer(objective, dict.fromkeys(objective.losses, optax.sgd(RATE)))


@pytest.fixture(scope="module")
def numbers():
    """Row i holds the number i."""
    rows = Batch(jnp.arange(EXAMPLES, dtype=jnp.float32))
    held_out = Batch(jnp.array([1.0, 2.0, 4.0, 9.0]))
    return Prepared(rows, held_out, held_out, lambda key, batch: batch, (0, 1))


@pytest.fixture(scope="module")
def images():
    pixels = np.random.RandomState(0).randint(0, 256, (56, 4, 4, 1)).astype(np.uint8)
    return gx.prepare(gx.from_splits(Split(pixels[:40]), Split(pixels[40:48]), Split(pixels[48:])))


def small_vae():
    posterior, likelihood = gx.diagonal_gaussian(2), gx.bernoulli((4, 4, 1))
    encoder = gx.MLPEncoder((4, 4, 1), posterior.outputs, (8,))
    model = gx.latent_variable_model(encoder, posterior, gx.MLPGenerator(likelihood.outputs, (8,)), likelihood)
    evaluate = lambda players, key, batch: gx.held_out_bound(model, players["vae"], key, batch.x)
    return gx.trainer(gx.vae(model), {"vae": optax.adam(1e-2)}), evaluate


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    plain = lambda a: jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(plain(one), plain(other))


def borders(history, split):
    return [row["step"] for row in history if row["split"] == split]


def test_a_training_row_is_the_mean_over_the_steps_since_the_row_before(numbers):
    history = fit(sgd(quadratic()), numbers, Training(6, BATCH, evaluate_every=4, log_every=3)).history
    assert [row["step"] for row in history] == [3, 6]
    w = W0 * (1 - RATE) ** np.arange(6)
    epoch_mean = (EXAMPLES - 1) / 2  # batches of an epoch hold each row once
    for row, steps in zip((row for row in history if row["split"] == "train"), (w[:3], w[3:]), strict=True):
        assert row["first/loss"] == pytest.approx(np.mean(0.5 * steps**2) + epoch_mean, rel=1e-6)
        assert row["first/gradient_norm"] == pytest.approx(np.mean(steps), rel=1e-6)
        assert row["first/rows"] * 3 == 2**EXAMPLES - 1


RAGGED = Training(17, BATCH, evaluate_every=7, log_every=4)


def position(players, key, batch):
    return {"w": players["first"]["params"]["w"]}


@pytest.fixture(scope="module")
def fitted_numbers(numbers):
    return fit(sgd(quadratic()), numbers, RAGGED, evaluate=position)


def test_rows_hold_plain_numbers_and_the_last_one_covers_what_is_left(fitted_numbers):
    history = fitted_numbers.history
    assert borders(history, "train") == [4, 8, 12, 16, 17]
    assert borders(history, "validation") == [0, 7, 14, 17]
    assert [row["step"] for row in history] == sorted(row["step"] for row in history)
    for row in history:
        assert type(row["step"]) is int
        assert all(type(value) is float for name, value in row.items() if name not in ("step", "split"))
    last = [row for row in history if row["split"] == "train"][-1]
    assert last["first/gradient_norm"] == pytest.approx(W0 * (1 - RATE) ** 16, rel=1e-5)


@pytest.mark.parametrize(("longest", "seconds"), [(500, 1e-9), (3, 1e9), (5, 1e9)])
def test_no_row_of_the_history_depends_on_how_the_run_was_cut_into_chunks(
    longest, seconds, numbers, fitted_numbers, monkeypatch
):
    monkeypatch.setattr(feed, "LONGEST_CHUNK", longest)
    monkeypatch.setattr(feed, "CHUNK_SECONDS", seconds)
    fitted = fit(sgd(quadratic()), numbers, RAGGED, evaluate=position)
    assert fitted.history == fitted_numbers.history
    assert_same(fitted.state, fitted_numbers.state)


VAE_TRAINING = Training(10, 8, evaluate_every=5, log_every=4)


@pytest.fixture(scope="module")
def fitted_vae(images):
    trainer, evaluate = small_vae()
    return fit(trainer, images, VAE_TRAINING, seed=3, evaluate=evaluate)


def test_a_vae_with_the_same_seed_is_the_same_bit_for_bit_in_other_chunks(images, fitted_vae, monkeypatch):
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 3)
    trainer, evaluate = small_vae()
    again = fit(trainer, images, VAE_TRAINING, seed=3, evaluate=evaluate)
    assert again.history == fitted_vae.history
    assert_same(again.state, fitted_vae.state)


def test_a_vae_with_another_seed_differs_in_every_row_and_weight(images, fitted_vae):
    trainer, evaluate = small_vae()
    other = fit(trainer, images, VAE_TRAINING, seed=4, evaluate=evaluate)
    for one, two in zip(fitted_vae.history, other.history, strict=True):
        assert (one["step"], one["split"]) == (two["step"], two["split"])
        assert one != two
    kernels = ([a for a in jax.tree.leaves(f.state.variables) if a.ndim == 2] for f in (fitted_vae, other))
    for one, two in zip(*kernels, strict=True):
        assert not np.any(one == two)


@pytest.mark.parametrize(
    ("steps", "every", "expected"), [(17, 5, [0, 5, 10, 15, 17]), (10, 5, [0, 5, 10]), (3, 5, [0, 3]), (0, 5, [0])]
)
def test_evaluation_is_at_the_start_at_every_interval_and_once_at_the_end(steps, every, expected, numbers):
    evaluations, rows = [], []

    def on_evaluation(progress, row):
        state = progress.state
        w = float(state.variables["first"]["params"]["w"])
        assert w == pytest.approx(W0 * (1 - RATE) ** row["step"], rel=1e-5)
        evaluations.append((int(state.step), row["step"], row["split"]))

    training = Training(steps, BATCH, evaluate_every=every, log_every=2)
    fitted = fit(sgd(quadratic()), numbers, training, on_evaluation=on_evaluation, on_metrics=rows.append)
    assert evaluations == [(step, step, "validation") for step in expected]
    assert rows == fitted.history
    assert [row["split"] for row in rows] == ["train"] * -(-steps // 2)  # no rows without metrics
    assert int(fitted.state.step) == steps


def test_no_steps_leave_the_untrained_model(numbers):
    trainer = sgd(quadratic())
    fitted = fit(trainer, numbers, Training(steps=0, batch_size=BATCH), seed=5)
    assert_same(fitted.state, jax.jit(trainer.init)(jax.random.key(5), numbers.example))
    assert fitted.history == []


def test_validation_rows_carry_standard_errors_and_scalars_as_they_are(numbers):
    evaluate = lambda players, key, batch: {"value": batch.x, "weight": players["first"]["params"]["w"]}
    row = fit(sgd(quadratic()), numbers, Training(0, BATCH), evaluate=evaluate).history[0]
    error = np.sqrt((3**2 + 2**2 + 0 + 5**2) / 3 / 4)  # of 1, 2, 4, 9 around 4
    assert row == {"step": 0, "split": "validation", "value": 4.0, "value_se": pytest.approx(error), "weight": W0}


def test_every_evaluation_of_every_run_draws_the_same_noise(numbers):
    evaluate = lambda players, key, batch: {"draw": jax.random.normal(key, batch.x.shape)}
    training = Training(4, BATCH, evaluate_every=2)
    runs = [fit(sgd(quadratic()), numbers, training, seed=seed, evaluate=evaluate).history for seed in (0, 1)]
    draws = {row["draw"] for history in runs for row in history if row["split"] == "validation"}
    assert len(draws) == 1


def test_each_step_trains_on_noise_of_its_own_for_each_player(numbers):
    history = fit(sgd(quadratic()), numbers, Training(6, BATCH, log_every=1)).history
    noise = [row[f"{player}/noise"] for row in history if row["split"] == "train" for player in ("first", "second")]
    assert len(set(noise)) == 12


@pytest.mark.parametrize(
    ("seed", "batch_size", "words"),
    [
        (0, EXAMPLES + 1, ("batch_size", "12", "13")),
        (-1, BATCH, ("seed", "-1")),
        (2**32, BATCH, ("seed", "4294967296")),
        (1.5, BATCH, ("seed", "1.5")),
        (True, BATCH, ("seed", "True")),
    ],
)
def test_fault_07_fault_24_what_cannot_run_is_refused_before_anything_is_traced(seed, batch_size, words, numbers):
    def untouched(*_):
        raise AssertionError("traced")

    objective = Objective(untouched, {"first": untouched}, untouched)
    with pytest.raises(InputError) as caught:
        fit(sgd(objective), numbers, Training(1, batch_size), seed=seed, evaluate=untouched, on_evaluation=untouched)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(("longest", "seconds"), [(500, 1e-9), (500, 1e9)])
def test_fault_05_a_loss_that_is_not_finite_stops_the_run_with_the_state_before_it(
    longest, seconds, numbers, monkeypatch
):
    monkeypatch.setattr(feed, "LONGEST_CHUNK", longest)
    monkeypatch.setattr(feed, "CHUNK_SECONDS", seconds)
    training = Training(20, BATCH, evaluate_every=10, log_every=1)
    rows = []
    with pytest.raises(NonFiniteError) as caught:
        fit(sgd(quadratic(nan_at=5)), numbers, training, seed=2, on_metrics=rows.append)
    message, state = str(caught.value), caught.value.progress.state
    assert "step 5:" in message
    assert "second/loss" in message
    assert "first/" not in message
    assert int(state.step) == 5
    stopped = fit(sgd(quadratic()), numbers, Training(5, BATCH, evaluate_every=10), seed=2).state
    assert_same(state, stopped)
    assert np.isfinite(state.variables["second"]["params"]["w"])
    # Step 5 ends the second epoch, which holds each row once: its batch is what steps 3 and 4 left.
    rows_by_step = {row["step"]: int(row["first/rows"]) for row in rows if row["split"] == "train"}
    assert sorted(rows_by_step) == [1, 2, 3, 4, 5]
    left = [i for i in range(EXAMPLES) if not (rows_by_step[4] | rows_by_step[5]) >> i & 1]
    named = message.split("rows ")[1].split(" of the")[0]
    assert sorted(map(int, named.split(", "))) == left


def test_long_batches_are_named_by_their_first_rows(numbers):
    with pytest.raises(NonFiniteError, match=r"rows (\d+, ){8}\.\.\. of the training split"):
        fit(sgd(quadratic(nan_at=0)), numbers, Training(1, 9))


def only_for_the_validation_split(players, key, batch):
    if len(batch.x) == BATCH - 1:
        raise ValueError("too few examples")
    return {"x": batch.x}


@pytest.mark.parametrize(
    ("judge", "size", "nan_at", "ending"),
    [
        (lambda players, key, batch: {"x": batch.x, "w": jnp.nan}, EXAMPLES, NEVER, "; not finite by themselves: 7; "),
        (lambda players, key, batch: {"w": jnp.nan}, EXAMPLES, NEVER, " of the training split; "),
        (lambda players, key, batch: {"x": jnp.nan * batch.x}, BATCH, 0, " of the training split; "),
        (only_for_the_validation_split, BATCH - 1, 0, " of the training split; "),
        (None, EXAMPLES, NEVER, " of the training split; "),
    ],
)
def test_rows_that_are_not_finite_by_themselves_are_named(judge, size, nan_at, ending, numbers):
    """Row 7 is spoiled in the batches of all examples."""
    x = numbers.train.x if size < EXAMPLES else numbers.train.x.at[7].set(jnp.inf)
    with pytest.raises(NonFiniteError) as caught:
        fit(sgd(quadratic(nan_at)), numbers._replace(train=Batch(x)), Training(1, size), evaluate=judge)
    assert f"{ending}the state before that step is kept" in str(caught.value)


def won_from(step_of_victory):
    """Returns the trainer of a discriminator that is right from a step on, and of a generator."""

    def discriminator(variables, key, batch, step):
        return jnp.float32(0), Aux({"accuracy": jnp.where(step >= step_of_victory, 1.0, 0.5)})

    players = {player: {"params": {"w": jnp.float32(0)}} for player in ("discriminator", "generator")}
    losses = {"discriminator": discriminator, "generator": lambda *_: (jnp.float32(0), Aux())}
    return sgd(Objective(lambda key, batch: players, losses, lambda *_: None, adversaries=("discriminator",)))


def test_a_symptom_of_a_game_is_printed_once_during_training_and_not_again_when_resumed(numbers, capsys):
    """Each row is one step: the accuracy is 1 from row 4 on, and has lasted ten rows at row 13."""
    symptoms = lambda: [line for line in capsys.readouterr().err.splitlines() if "has won" in line]
    training, trainer = Training(25, BATCH, evaluate_every=5, log_every=1), won_from(3)
    kept = {}
    fit(trainer, numbers, training, on_evaluation=lambda progress, row: kept.update({row["step"]: copied(progress)}))
    (line,) = symptoms()
    assert line.startswith(
        "step 15: The discriminator has won: since step 4 its accuracy on real and generated examples"
    )
    for step, lines in ((10, [line]), (15, []), (20, [])):
        fit(trainer, numbers, training, start=kept[step])
        assert symptoms() == lines
    fit(won_from(100), numbers, training)
    assert symptoms() == []


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


def test_a_log_has_a_line_per_evaluation_and_a_terminal_a_bar(numbers, monkeypatch):
    training, trainer, kept = Training(25, BATCH, evaluate_every=10, log_every=5), sgd(quadratic()), {}
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        fit(
            trainer, numbers, training, on_evaluation=lambda progress, row: kept.update({row["step"]: copied(progress)})
        )
        if stream.isatty():
            assert "\r" in stream.getvalue()
            assert "compiling;" not in stream.getvalue()
            assert "25/25" in stream.getvalue()
        else:
            compiling, *lines = stream.getvalue().splitlines()
            assert compiling == "compiling; then a line per evaluation, up to step 25"
            assert "\r" not in stream.getvalue()
            assert [line.split(":")[0].split(",")[0] for line in lines] == [f"step {n} of 25" for n in (0, 10, 20, 25)]
            assert re.fullmatch(r"step 0 of 25, compiled in \d+\.\d s", lines[0])
            assert re.fullmatch(r"step 10 of 25: train loss -?\d+\.\d\d, [\d,]+ steps per second", lines[1])
    monkeypatch.setattr(sys, "stderr", resumed := io.StringIO())
    fit(trainer, numbers, training, start=kept[20])
    _, line = resumed.getvalue().splitlines()
    assert re.fullmatch(r"step 25 of 25: train loss .*, compiled in .* s, .* steps per second", line)


def copied(progress):
    """Copies the state, whose arrays the next chunk donates."""
    return progress._replace(state=jax.tree.map(jnp.copy, progress.state))


@pytest.mark.parametrize(("layer", "confined"), [(nn.tanh, (-1, 1)), (nn.sigmoid, (0, 1)), (nn.relu, None)])
@pytest.mark.parametrize("objective", ["gan", pytest.param("gmmn", marks=pytest.mark.slow)])
def test_fault_02_data_in_another_range_than_the_generators_are_refused(numbers, objective, layer, confined):
    generator = nn.Sequential([gx.MLPGenerator((1,), ()), layer])
    if objective == "gan":
        game = gx.gan(gx.adversarial_pair(generator, gx.MLPDiscriminator((1,), ()), 2))
    else:
        game = gx.gmmn(gx.implicit_model(generator, 2), gx.gaussian_kernel(1.0))
    trainer = sgd(game)
    assert trainer.range == confined
    column = lambda batch: batch._replace(x=batch.x[:, None])
    for stated in ((0, 1), (-1, 1)):
        data = numbers._replace(
            train=column(numbers.train), validation=column(numbers.validation), test=column(numbers.test), range=stated
        )
        training = Training(steps=1, batch_size=BATCH)
        if confined in (None, stated):
            fit(trainer, data, training)
        else:
            with pytest.raises(
                InputError,
                match=r"data must be in the range of the likelihood or of the generator's last layer, \[.*\], got \[",
            ):
                fit(trainer, data, training)
