"""Steps of a preset of an experiment, on arrays of the shape of its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from experiments import biggan
from experiments.accelerator.device import on_cpu
from experiments.accelerator.part import Facts, LeftOutError

CIFAR = (32, 32, 3)
CLASSES = 10
STEPS = 500
EXAMPLES = 5_000  # random images: the time of a step does not depend on their content


def cifar(steps: int = STEPS, **fields) -> Iterator[Facts]:
    """Yields the steps per second of `experiments.biggan --preset cifar`, and the hours that its schedule would take.

    Args:
      steps: steps to make.
      **fields: other fields of the config, for a test.

    Raises:
      LeftOutError: this is a CPU, and no field makes the networks smaller.
    """
    if on_cpu() and not fields:
        raise LeftOutError("a step of the preset cifar takes too long on a CPU")
    import jax

    import genjax_models as gx
    from genjax_models.runs.fields import replaced

    config = replaced(biggan.Config(), {**biggan.CIFAR, **fields})
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, shape=CIFAR, classes=CLASSES))
    system = biggan.build(config)
    random = np.random.RandomState(0)
    x, label = random.randint(0, 256, (EXAMPLES, *CIFAR), np.uint8), np.arange(EXAMPLES) % CLASSES
    data = system.prepare(gx.from_arrays(x, label))
    training = dataclasses.replace(config.training, steps=steps, evaluate_every=steps)
    result = gx.fit(system.trainer, data, training)
    rate = steps / result.seconds["running"]
    finite = all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(result.state.variables))
    yield {
        "what": "BigGAN, preset cifar",
        "steps": steps,
        "steps_per_second": rate,
        "ready_in_seconds": result.seconds["compiling"],
        "hours_of_the_schedule": config.training.steps / rate / 3600,
        "finite": finite,
    }
