"""Small games for the trainer, made to show one thing each."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.types import Aux, Batch, Objective


def quadratic(start: float = 0.3) -> Objective:
    """One player, theta, that chases the batch: loss = mean (theta - x)^2 / 2."""

    def loss(variables, key, batch, step):
        return jnp.mean((variables["point"]["params"]["theta"] - batch.x) ** 2) / 2, Aux({"step": step * 1.0})

    return Objective(
        init=lambda key, batch: {"point": {"params": {"theta": jnp.float32(start)}}},
        losses={"point": loss},
        sample=lambda variables, key, n, *, label=None: jnp.full((n,), variables["point"]["params"]["theta"]),
    )


def bilinear(first: str = "a") -> Objective:
    """v(a, b) = a b: a descends, b ascends."""

    def value(variables):
        return variables["a"]["params"]["at"] * variables["b"]["params"]["at"]

    losses = {
        "a": lambda variables, key, batch, step: (value(variables), Aux()),
        "b": lambda variables, key, batch, step: (-value(variables), Aux()),
    }
    return Objective(
        init=lambda key, batch: {player: {"params": {"at": jnp.float32(1.0)}} for player in "ab"},
        losses=dict(sorted(losses.items(), key=lambda item: item[0] != first)),
        sample=lambda variables, key, n, *, label=None: jnp.zeros(n),
    )


def noisy(players: tuple[str, ...] = ("one", "two")) -> Objective:
    """Each player's gradient is its own noise, so that SGD with rate 1 writes down what was drawn."""

    def loss_of(player):
        def loss(variables, key, batch, step):
            noise = jax.random.normal(key)
            seen = jnp.sum(batch.x)
            params = variables[player]["params"]
            return -(params["noise"] * noise + params["seen"] * seen), Aux({"noise": noise, "seen": seen})

        return loss

    zeros = {"params": {"noise": jnp.float32(0), "seen": jnp.float32(0)}}
    return Objective(
        init=lambda key, batch: {**dict.fromkeys(players, zeros), "frozen": {"params": {"w": jnp.ones(2)}}},
        losses={player: loss_of(player) for player in players},
        sample=lambda variables, key, n, *, label=None: jnp.zeros(n),
    )


class _Critic(nn.Module):
    """Batch statistics and dropout: all that a network can carry beside its parameters."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(8, use_bias=False)(x))
        return nn.Dense(1)(nn.Dropout(0.5, deterministic=not train)(nn.leaky_relu(x)))[..., 0]


class _Maker(nn.Module):
    size: int

    @nn.compact
    def __call__(self, z, train: bool):
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(8, use_bias=False)(z)))
        # No bias: the critic normalises it away, and Adam would blow up the rounding noise that is its gradient.
        return nn.Dense(self.size, use_bias=False)(x)


def adversarial(dropout: bool = True, size: int = 3) -> Objective:
    """A batch-norm GAN with dropout on vectors: two players that move each other's statistics."""
    critic, maker = _Critic(), _Maker(size)

    def init(key, batch):
        keys = jax.random.split(key, 3)
        made = {
            "discriminator": critic.init(keys[0], batch.x, False),
            "generator": maker.init(keys[1], _noise(keys[2], 2), False),
        }
        return {player: dict(variables) for player, variables in made.items()}

    def _noise(key, n):
        return jax.random.normal(key, (n, 2))

    def make(variables, key, n):
        x, moved = maker.apply(variables["generator"], _noise(key, n), True, mutable=["batch_stats"])
        return x, {**variables, "generator": {**variables["generator"], **moved}}

    def judge(variables, key, x):
        logits, moved = critic.apply(
            variables["discriminator"], x, dropout, rngs={"dropout": key}, mutable=["batch_stats"]
        )  # fmt: skip
        return logits, {**variables, "discriminator": {**variables["discriminator"], **moved}}

    def discriminator(variables, key, batch, step):
        noise_key, real_key, fake_key = jax.random.split(key, 3)
        fake, variables = make(variables, noise_key, len(batch.x))
        real_logits, variables = judge(variables, real_key, batch.x)
        fake_logits, variables = judge(variables, fake_key, fake)
        return jnp.mean(jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)), Aux(variables=variables)

    def generator(variables, key, batch, step):
        noise_key, fake_key = jax.random.split(key)
        fake, variables = make(variables, noise_key, len(batch.x))
        fake_logits, variables = judge(variables, fake_key, fake)
        return jnp.mean(jax.nn.softplus(-fake_logits)), Aux(variables=variables)

    def sample(variables, key, n, *, label=None):
        return maker.apply(variables["generator"], _noise(key, n), False)

    return Objective(init, {"discriminator": discriminator, "generator": generator}, sample)


def batch_of(values, dtype=jnp.float32) -> Batch:
    return Batch(jnp.asarray(values, dtype))
