"""Unprepared data are refused: integers while tracing, values outside the support on the host, with their row."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.types import Batch

SHAPE, KEY = (3, 2, 1), jax.random.key(0)
POSTERIOR = gx.diagonal_gaussian(2)
FAMILIES = {
    "bernoulli": gx.bernoulli(SHAPE),
    "discretised_logistic": gx.discretised_logistic(SHAPE),
    "gaussian": gx.gaussian(SHAPE, 0.5),
}
X = np.random.RandomState(0).rand(6, *SHAPE).round().astype(np.float32)
UNPREPARED = {
    "bytes": ((255 * X).astype(np.uint8), "must be floating point, got uint8. Prepare the data: prepare(dataset)"),
    "integers": (X.astype(np.int32), "must be floating point, got int32"),
    "bool": (X > 0.5, "must be floating point, got bool"),
    "NaN": (np.where(np.arange(6)[:, None, None, None] == 4, np.nan, X), "got nan in row 4"),
    "infinity": (np.where(np.arange(6)[:, None, None, None] == 1, np.inf, X), "got inf in row 1"),
    "0..255": (np.where(np.arange(6)[:, None, None, None] > 1, 255, X), "must be in [0, 1], got 255.0 in row 2"),
    "-1..1": (np.where(np.arange(6)[:, None, None, None] == 5, -1, X), "must be in [0, 1], got -1.0 in row 5"),
}
TYPES = "bytes", "integers", "bool"


def model_of(family):
    likelihood = FAMILIES[family]
    encoder, generator = gx.MLPEncoder(SHAPE, POSTERIOR.outputs, (2,)), gx.MLPGenerator(likelihood.outputs, (2,))
    model = gx.latent_variable_model(encoder, POSTERIOR, generator, likelihood)
    return model, model.init(KEY, Batch(jnp.asarray(X)))


MODELS = {family: model_of(family) for family in FAMILIES}
FIGURES = {
    "bound": lambda model, variables, x: gx.held_out_bound(model, variables, KEY, x),
    "NLL(k)": lambda model, variables, x: gx.negative_log_likelihood(model, variables, KEY, x, num_samples=2),
    "annealed": lambda model, variables, x: gx.annealed_log_likelihood(model, variables, KEY, x),
    "latent usage": lambda model, variables, x: gx.latent_usage(model, variables, x),
    "latent usage by layer": lambda model, variables, x: gx.latent_usage_by_layer(model, variables, KEY, x),
    "information": lambda model, variables, x: gx.latent_information(model, variables, KEY, x),
    "quadrature": lambda model, variables, x: gx.quadrature_log_likelihood(model, variables, x, nodes=5),
    "gaps": lambda model, variables, x: gx.bound_gaps(model, variables, KEY, x, jnp.zeros(len(x))),
    "posterior": lambda model, variables, x: model.posterior(variables, x),
    "log-probability": lambda model, variables, x: model.likelihood(variables, jnp.zeros((6, 2))).log_prob(x),
    "step": lambda model, variables, x: step_of(model, variables, x),
    "ELBO": lambda model, variables, x: estimator(gx.elbo, model, variables, x),
    "IWAE bound": lambda model, variables, x: estimator(gx.iwae_bound, model, variables, x, num_samples=2),
}


def step_of(model, variables, x):
    trainer = gx.trainer(gx.vae(model), optax.sgd(0.1))
    return trainer.step(jax.eval_shape(trainer.init, KEY, Batch(jnp.asarray(X))), Batch(x))


def estimator(bound, model, variables, x, **options):
    posterior, prior = model.posterior(variables, jnp.asarray(X)), model.prior(variables)
    return bound(KEY, x, posterior, prior, lambda z: model.likelihood(variables, z), **options)


@pytest.mark.parametrize("unprepared", UNPREPARED)
@pytest.mark.parametrize("figure", FIGURES)
def test_fault_75_unprepared_data_are_refused(figure, unprepared):
    x, message = UNPREPARED[unprepared]
    for family in ("bernoulli", "discretised_logistic"):
        with pytest.raises(ValueError, match=r"^(x|value|batch\.x) must be ") as error:
            FIGURES[figure](*MODELS[family], x)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("unprepared", [*TYPES, "NaN", "infinity"])
def test_fault_75_a_gaussian_takes_every_finite_number(unprepared):
    x, message = UNPREPARED[unprepared]
    model, variables = MODELS["gaussian"]
    with pytest.raises(ValueError, match=r"x must be ") as error:
        gx.held_out_bound(model, variables, KEY, x)
    assert message in str(error.value)
    assert np.isfinite(model.likelihood(variables, jnp.zeros((6, 2))).log_prob(UNPREPARED["0..255"][0])).all()


@pytest.mark.parametrize("unprepared", TYPES)
@pytest.mark.parametrize("figure", ["bound", "posterior", "log-probability", "step"])
def test_fault_75_integers_are_refused_while_tracing(figure, unprepared):
    model, variables = MODELS["bernoulli"]
    with pytest.raises(ValueError, match="must be floating point"):
        jax.eval_shape(lambda x: FIGURES[figure](model, variables, x), UNPREPARED[unprepared][0])


def test_fault_75_a_game_refuses_data_outside_of_its_generators_range():
    generator = gx.MLPGenerator(SHAPE, (2,))
    pair = gx.adversarial_pair(generator, gx.MLPDiscriminator(SHAPE, (2,)), 2)
    for objective, options in ((gx.gan(pair), {}), (gx.gan(pair)._replace(range=(-1, 1)), {"x": 2 * X})):
        trainer = gx.trainer(objective, optax.sgd(0.1))
        x = options.get("x", UNPREPARED["bytes"][0])
        with pytest.raises(
            ValueError, match=r"batch\.x must be (floating point, got uint8|in \[-1, 1\], got 2\.0 in row 0)"
        ):
            trainer.init(KEY, Batch(x))


def test_prepared_data_pass_with_rounding():
    model, variables = MODELS["bernoulli"]
    assert np.isfinite(gx.held_out_bound(model, variables, KEY, X * np.float32(1 + 1e-7))["bound"]).all()


@pytest.mark.parametrize("figure", [name for name in FIGURES if name not in ("posterior", "log-probability", "step")])
def test_fault_91_an_example_without_its_axis_is_refused(figure):
    model, variables = MODELS["gaussian"]
    with pytest.raises(
        (ValueError, AssertionError), match=r"[Aa]dd the axis of examples: x\[None\]|needs its axis: x\[No"
    ):
        FIGURES[figure](model, variables, X[0])


@pytest.mark.parametrize("n", [-1, 0, True, 2.0, "3", None])
@pytest.mark.parametrize("kind", ["vae", "gan", "mixture", "autoencoder"])
def test_fault_91_a_number_of_draws_that_is_none_is_refused(kind, n):
    def network(outputs):
        return gx.MLPGenerator(outputs, (2,))

    encoder = gx.MLPEncoder(SHAPE, (2,), (2,))
    objective = {
        "vae": lambda: gx.vae(MODELS["bernoulli"][0]),
        "gan": lambda: gx.gan(gx.adversarial_pair(network(SHAPE), gx.MLPDiscriminator(SHAPE, (2,)), 2)),
        "mixture": lambda: gx.mixture(gx.gaussian_mixture((2,), 3)),
        "autoencoder": lambda: gx.autoencoder(gx.autoencoder_model(encoder, network(SHAPE), 2)),
    }[kind]()
    players = {player: {"params": {}} for player in (*objective.losses, "generator")}
    with pytest.raises(ValueError, match=rf"^n must be an integer of at least 1, got {n!r}"):
        objective.sample(players, KEY, n)


def test_fault_91_one_optimizer_is_for_every_player():
    pair = gx.adversarial_pair(gx.MLPGenerator((2,), (2,)), gx.MLPDiscriminator((2,), (2,)), 2)
    batch = Batch(jnp.asarray(X[:, :2, 0, 0]))
    alone, each = optax.adam(1e-3), {"generator": optax.adam(1e-3), "discriminator": optax.adam(1e-3)}
    states = [gx.trainer(gx.gan(pair), optimizers).init(KEY, batch) for optimizers in (alone, each)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("objective", "prepared"),
            r"`trainer` must be a Trainer, got Objective\. Use trainer\(objective",
        ),
        (("trainer", "dataset"), r"`data` must be a Prepared, got Dataset\. Use prepare\(dataset\)"),
        (("trainer", "array"), r"`data` must be a Prepared, got ndarray\. Use .* from_arrays\(x\) for arrays"),
        (("trainer", "prepared", 100), r"`training` must be a Training, got int\. Use Training\(steps="),
        (("trainer", "prepared"), "batch_size must be at most 16, the training split, got 100"),
    ],
)
def test_fault_91_natural_mistakes_with_fit_say_what_to_write(arguments, message):
    dataset = gx.from_arrays(np.random.RandomState(0).randint(0, 256, (20, *SHAPE)).astype(np.uint8))
    objective = gx.vae(MODELS["bernoulli"][0])
    values = {
        "objective": objective,
        "trainer": gx.trainer(objective, optax.adam(1e-3)),
        "dataset": dataset,
        "prepared": gx.prepare(dataset),
        "array": X,
    }
    with pytest.raises(InputError, match=message):
        gx.fit(*(values.get(argument, argument) for argument in arguments))


def test_fault_75_fit_refuses_data_in_another_range():
    dataset = gx.from_arrays(np.random.RandomState(0).randint(0, 256, (20, *SHAPE)).astype(np.uint8))
    prepared = gx.prepare(dataset, range=(0, 255))
    with pytest.raises(InputError, match=r"data must be in the range of the likelihood or .*\[0, 1\], got \[0, 255\]"):
        gx.fit(gx.trainer(gx.vae(MODELS["bernoulli"][0]), optax.adam(1e-3)), prepared, gx.Training(1, 2))
