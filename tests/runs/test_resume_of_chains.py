"""Chains are a part of the run: stopped and resumed, the run is the run that was not, bit for bit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from experiments import rbm, self_supervised_boosting
from genjax_models.commands.train import main
from genjax_models.data.prepare import Prepared
from genjax_models.reports import final_evaluation
from genjax_models.runs import feed, fit
from genjax_models.runs.configuration import Training
from genjax_models.runs.history import Progress
from genjax_models.types import Batch
from tests import energies as exact
from tests.experiments.conftest import files  # noqa: F401 - a fixture

CHAINS = 8


def trainer(num_chains=CHAINS):
    machine = gx.restricted_boltzmann_machine((4,), 3)
    objective = gx.persistent_contrastive_divergence(machine, num_chains=num_chains)
    return gx.trainer(objective, optax.sgd(0.1), average={"machine": 0.9})


def training(steps):
    return Training(steps, batch_size=5, evaluate_every=steps, log_every=2)


def numbers(state):
    return state._replace(key=jax.random.key_data(state.key))


@pytest.fixture(scope="module")
def stopped():
    """The data, a run of ten steps, and the progress of the same run after four."""
    split = Batch(jnp.array(exact.DATA))
    data = Prepared(split, split, split, lambda key, batch: batch, (0, 1))
    whole, part = (gx.fit(trainer(), data, training(steps)) for steps in (10, 4))
    return data, whole, Progress(part.state, part.history, {})


@pytest.mark.slow
def test_four_steps_and_six_more_of_fit_are_ten(stopped):
    data, whole, progress = stopped
    again = gx.fit(trainer(), data, training(10), start=progress)
    assert again.first == 4
    chex.assert_trees_all_equal(numbers(whole.state), numbers(again.state))
    rows = [[row for row in one.history if row["split"] == "train"] for one in (whole, again)]
    assert rows[0] == rows[1]
    assert [row["step"] for row in rows[0]] == [2, 4, 6, 8, 10]
    assert whole.state.variables["machine"]["chains"]["v"].dtype == np.int8


@pytest.mark.slow
def test_fit_with_another_number_of_chains_is_one_line(stopped):
    data, _, progress = stopped
    message = "num_chains must be 8, as in the state that goes on, got 5"
    with pytest.raises(ValueError, match=message) as error:
        gx.fit(trainer(5), data, training(10), start=progress)
    assert str(error.value) == message


class Killed(BaseException):
    """Ends the process in the midst of a run."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "flags", "counts"),
    [
        (rbm, "--hidden 4 --chains 8 --sample-sweeps 3 --temperatures 5 --average 0.5", "chains"),
        (self_supervised_boosting, "--features 5 --negatives 8 --sweeps 1 --sample-sweeps 2", "negatives"),
    ],
    ids=["rbm", "self_supervised_boosting"],
)
def test_a_run_killed_after_four_steps_and_resumed_is_the_run_of_ten(
    experiment,
    flags,
    counts,
    files,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    """The checkpoint of step 4 is all that is left; another number of chains is refused."""
    monkeypatch.setattr(final_evaluation, "report", lambda trained: None)
    monkeypatch.setattr(feed, "LONGEST_CHUNK", 4)
    size = "--batch-size 10 --steps 10 --evaluate-every 4 --log-every 2".split()
    flags = [*flags.split(), *size, "--data", str(files / "images.npz")]
    whole, run, chunk = tmp_path / "whole", tmp_path / "run", fit._timed_chunk
    assert main(experiment.EXPERIMENT, [*flags, "--run-dir", str(whole)]) == 0

    def four_steps(feed, state, *arguments):
        if int(state.step) == 4:
            raise Killed
        return chunk(feed, state, *arguments)

    monkeypatch.setattr(fit, "_timed_chunk", four_steps)
    with pytest.raises(Killed):
        main(experiment.EXPERIMENT, [*flags, "--run-dir", str(run)])
    monkeypatch.setattr(fit, "_timed_chunk", chunk)
    assert sorted(path.name for path in (run / "checkpoints").glob("????????"))[-1] == "00000004"
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(experiment.EXPERIMENT, ["--resume", str(run), f"--{counts}", "5"])
    words = f"error: --resume {run}: {counts} is 8, the flag says 5. Only "
    message = capsys.readouterr().err
    assert message.startswith(words)
    assert message.count("\n") == 1
    assert main(experiment.EXPERIMENT, ["--resume", str(run)]) == 0
    one, other = (numbers(gx.load_run(folder, "last").state) for folder in (whole, run))
    chex.assert_trees_all_equal(one, other)
    assert (whole / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
