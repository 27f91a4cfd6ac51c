"""--start-from: a run begins with the players of another run, as far as they fit, and says what does not."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.data.splits import Split
from genjax_models.errors import InputError
from genjax_models.evaluation.findings import Facts
from genjax_models.reports import final_evaluation
from genjax_models.reports.stored_run import read_run
from genjax_models.runs import checkpoints, damage, engine, starting
from genjax_models.runs.configuration import Training
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.settings import Data, Settings
from genjax_models.training import pmapped
from genjax_models.types import Aux, Objective

STEPS, DECAY = 4, 0.5


@dataclasses.dataclass(frozen=True)
class Numbers(Data):
    """Random vectors, which the losses do not read."""

    shape: tuple[int, ...] = (3,)

    def load(self, *, labels=False):
        x = np.random.RandomState(0).uniform(size=(24, 3)).astype(np.float32)
        return self, gx.from_splits(Split(x[:12]), Split(x[12:18]), Split(x[18:]))


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Vectors that shrink: the first player keeps a moving average."""

    players: tuple[str, ...] = ("first", "second")
    size: int = 2
    rate: float = 0.25
    average: bool = True
    data: Numbers = Numbers()
    training: Training = Training(steps=STEPS, batch_size=4, evaluate_every=2)


def build(config):
    first = config.players[0]

    def init(key, batch):
        draw = lambda i, n: jax.random.normal(jax.random.fold_in(key, i), (n,))
        params = lambda i: {"same": draw(i, 2), "sized": draw(10 + i, config.size)}
        counted = {"counts": {"n": jnp.int32(7)}}
        return {player: {"params": params(i), **counted} for i, player in enumerate(config.players)}

    def loss(player):
        half_square = lambda tree: 0.5 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))
        return lambda players, key, batch, step: (half_square(players[player]["params"]), Aux())

    sample = lambda players, key, n, *, label=None: jnp.zeros((n, 3))
    objective = Objective(init, {player: loss(player) for player in config.players}, sample)
    average = {first: DECAY} if config.average else {}
    trainer = gx.trainer(objective, optax.sgd(config.rate, momentum=0.5), average=average)
    evaluate = lambda players, key, batch: {"w": jnp.sum(players[first]["params"]["same"] ** 2)}
    return System(objective, trainer, gx.prepare, evaluate, sample, lambda players, data: (Facts(), []))


EXPERIMENT = Experiment("Vectors", Config, build, Metric("w"), "nothing")


@pytest.fixture(autouse=True)
def without_reports(request, monkeypatch):
    """Which take longer than these runs; a test with "report" in its name keeps them."""
    if "report" not in request.node.name:
        monkeypatch.setattr(final_evaluation, "report", lambda trained: None)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "run"
    assert main(EXPERIMENT, ["--seed", "5", "--run-dir", str(folder)]) == 0
    return folder


def started(folder, source, *flags):
    assert main(EXPERIMENT, ["--start-from", str(source), "--run-dir", str(folder), *flags]) == 0
    return folder


def state_of(run, which="last"):
    return gx.load_run(run, which).state


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_players_begin_at_the_averages_and_optimizers_and_averages_anew(source, tmp_path, capsys):
    loaded = gx.load_run(source)
    assert loaded.players["first"] is not loaded.state.variables["first"]
    state = state_of(started(tmp_path / "run", source, "--steps", "0"))
    same(state.variables, loaded.players)
    same(state.average, {"first": loaded.players["first"]})
    assert int(state.step) == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))
    out, err = capsys.readouterr()
    assert f"starts from {source} (tests.runs.test_starting), step 4: 6 of 6 arrays are copied\n" in err
    assert "not copied" not in err
    assert "starts from" not in out
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert row["w"] == pytest.approx(float(jnp.sum(loaded.players["first"]["params"]["same"] ** 2)))


def test_what_does_not_fit_keeps_its_own_start_and_is_told_and_recorded(source, tmp_path, capsys):
    flags = ("--size", "4", "--players", "first", "third", "--steps", "0")
    run = started(tmp_path / "run", source, *flags)
    lines = [
        "first/params/sized: float32[2] there, float32[4] here",
        "third: no such player there",
        "second: no such player here",
    ]
    err = capsys.readouterr().err
    assert "2 of 6 arrays are copied\n" + "".join(f"  not copied: {line}\n" for line in lines) in err
    config = Config(players=("first", "third"), size=4)
    own = build(config).trainer.init(jax.random.key(0), gx.prepare(config.load()[1]).example)
    state, other = state_of(run), gx.load_run(source).players
    same(state.variables["first"]["params"]["same"], other["first"]["params"]["same"])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6)
    close(state.variables["first"]["params"]["sized"], own.variables["first"]["params"]["sized"])
    jax.tree.map(close, state.variables["third"], own.variables["third"])
    stored = json.loads((run / "config.json").read_text())["start_from"]
    manifest = checkpoints.manifest_of(source / "checkpoints", "best")
    assert stored == {
        "run": str(source),
        "experiment": "tests.runs.test_starting",
        "step": 4,
        "digest": checkpoints.digest_of_manifest(manifest),
        "arrays": 6,
        "copied": 2,
        "not_copied": lines,
    }
    assert read_run(run, EXPERIMENT, "run").config["start_from"] == f"{source}, step 4"
    assert not damage.damages(run)


@pytest.mark.slow
def test_result_and_report_name_the_other_run(source, tmp_path):
    run = started(tmp_path / "run", source, "--size", "4", "--steps", "0")
    stored = json.loads((run / "config.json").read_text())["start_from"]
    assert json.loads((run / "result.json").read_text())["start_from"] == stored
    assert f"from {source} (tests.runs.test_starting), step 4" in (run / "report.html").read_text()


def test_players_are_matched_by_name_and_an_only_player_starts_an_only_one(source):
    matched = lambda own, other: starting._matched(source, dict.fromkeys(own), dict.fromkeys(other))
    assert matched(["vae"], ["iwae"]) == {"vae": "iwae"}
    assert matched(["b", "a", "c"], ["a", "b", "d"]) == {"b": "b", "a": "a"}
    assert matched(["vae", "discriminator"], ["vae"]) == {"vae": "vae"}
    with pytest.raises(InputError, match="no player is in common: its players are a, b, and here they are c"):
        matched(["c"], ["b", "a"])


def test_every_member_starts_so_with_a_key_of_its_own(source, tmp_path):
    sweep = ("--seeds", "1,2", "--sweep", "rate=0.1", "--steps", "0")
    group = started(tmp_path / "group", source, *sweep)
    players = gx.load_run(source).players
    states = {path.parent.name: state_of(path.parent) for path in group.glob("*/config.json")}
    assert len(states) == 2
    for state in states.values():
        same(state.variables, players)
    keys = [jax.random.key_data(states[f"rate_0.1-seed_{seed}"].key) for seed in (1, 2)]
    assert (keys[0] != keys[1]).any()
    records = [json.loads(path.read_text())["start_from"] for path in group.glob("*/config.json")]
    records.append(json.loads((group / "members.json").read_text())["start_from"])
    assert all(record == records[0] for record in records)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["in-turn", "together"])
def test_a_member_is_the_single_run(way, source, tmp_path):
    sweep = ("--seeds", "1,2", "--sweep", "rate=0.1,0.25", "--members", way)
    member = started(tmp_path / "group", source, *sweep) / "rate_0.1-seed_2"
    single = started(tmp_path / "single", source, "--seed", "2", "--rate", "0.1")
    rows = [(run / "metrics.jsonl").read_text() for run in (member, single)]
    assert json.loads(rows[0].splitlines()[0]) == json.loads(rows[1].splitlines()[0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        *(state_of(run)._replace(key=None) for run in (member, single)),
    )
    assert (member / "config.json").read_bytes() == (single / "config.json").read_bytes()


class KilledError(BaseException):
    """What no code that is tested catches."""


def killed(monkeypatch, at, arguments):
    """Runs until the save number `at`, which does not come about."""
    calls, save = [], checkpoints.save

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            raise KilledError
        return save(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", counted)
        with pytest.raises(KilledError):
            main(EXPERIMENT, arguments)


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_so_again(source, tmp_path, monkeypatch):
    run = tmp_path / "run"
    killed(monkeypatch, 1, ["--start-from", str(source), "--run-dir", str(run), "--steps", "0"])
    assert checkpoints.steps(run / "checkpoints") == []
    config = (run / "config.json").read_bytes()
    assert main(EXPERIMENT, ["--resume", str(run)]) == 0
    same(state_of(run).variables, gx.load_run(source).players)
    assert (run / "config.json").read_bytes() == config
    assert not damage.damages(run)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("members", [(), ("--seeds", "0,1")])
def test_it_resumes_without_start_from_as_the_run_that_was_not_stopped(at, members, source, tmp_path, monkeypatch):
    """Killed before its first checkpoint, it reads the other run again; later, it does not need it."""
    other = tmp_path / "source"
    shutil.copytree(source, other)
    whole = started(tmp_path / "whole", other, *members)
    run = tmp_path / "run"
    killed(monkeypatch, at, ["--start-from", str(other), "--run-dir", str(run), *members])
    if at == 2 and not members:
        shutil.rmtree(other)
    assert main(EXPERIMENT, ["--resume", str(run)]) == 0
    for name in ("seed_0", "seed_1") if members else ("",):
        for file in ("metrics.jsonl", "config.json"):
            assert (run / name / file).read_bytes() == (whole / name / file).read_bytes()
    same(*(state_of(path / ("seed_1" if members else ""))._replace(key=None) for path in (run, whole)))
    assert not damage.damages(run)


@pytest.mark.slow
def test_another_run_that_has_changed_does_not_begin_it_again(source, tmp_path, monkeypatch, refused):
    run, other = tmp_path / "run", tmp_path / "source"
    shutil.copytree(source, other)
    killed(monkeypatch, 1, ["--start-from", str(other), "--run-dir", str(run)])
    assert main(EXPERIMENT, ["--seed", "6", "--run-dir", str(other), "--overwrite"]) == 0
    line = refused("--resume", str(run))
    assert line.startswith(f"--resume {run}: has no checkpoint yet, and the best checkpoint of {other} has changed.")
    shutil.rmtree(other)
    assert refused("--resume", str(run)).startswith(f"{other}: holds no run")


@pytest.fixture
def refused(capsys, monkeypatch):
    """Returns (arguments) -> the one line with which the run is refused before anything is computed."""

    def message(*arguments):
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(engine, "fit_members", lambda *_, **__: pytest.fail("it was computed"))
            with pytest.raises(SystemExit) as stop:
                main(EXPERIMENT, list(arguments))
        out, err = capsys.readouterr()
        assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
        return err.removeprefix("error: ").removesuffix("\n")

    return message


def test_what_cannot_start_is_refused_in_one_line_and_writes_nothing(source, tmp_path, refused):
    run = tmp_path / "run"
    family = (
        f"--start-from {source}: is of another family, no player is in common: its players are first, second,"
        " and here they are other, third"
    )
    cases = [
        (("--players", "third", "other"), family),
        (("--dry-run", "--players", "third", "other"), family),
        (("--resume", str(source)), "--resume excludes --start-from: a run resumes with the players that it has"),
    ]
    for flags, words in cases:
        own = () if "--resume" in flags else ("--run-dir", str(run))
        assert refused("--start-from", str(source), *own, *flags) == words
    line = refused("--start-from", str(tmp_path / "nowhere"), "--run-dir", str(run))
    assert line == f"{tmp_path / 'nowhere'}: holds no run (no config.json)"
    line = refused("--start-from", str(source), "--run-dir", str(source), "--overwrite")
    assert line == f"--start-from {source}: is what --overwrite replaces. Use another --run-dir"
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_which_nothing_fits_is_refused(source, tmp_path, capsys):
    def build_other(config):
        system = build(config)
        wide = lambda players: jax.tree.map(lambda leaf: jnp.zeros((9, *leaf.shape)), players)
        objective = system.objective._replace(init=lambda key, batch: wide(system.objective.init(key, batch)))
        return system._replace(trainer=gx.trainer(objective, optax.sgd(0.1)))

    other = EXPERIMENT._replace(build=build_other)
    arguments = ["--start-from", str(source), "--run-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match="2"):
        main(other, arguments)
    counts = "first/counts/n: int32[] there, float32[9] here"
    line = f"error: --start-from {source}: none of its arrays fits: {counts} (6 in all)\n"
    assert capsys.readouterr().err == line


def test_a_folder_of_members_is_refused_with_their_names(tmp_path, refused):
    group = tmp_path / "group"
    group.mkdir()
    content = {"format": 2, "experiment": EXPERIMENT.module, "config": {}, "members": {"seed_0": {}, "seed_1": {}}}
    (group / "members.json").write_text(json.dumps(content))
    line = refused("--start-from", str(group), "--run-dir", str(tmp_path / "run"))
    assert line == f"{group}: holds several runs; name one, seed_0, seed_1"


def test_a_dry_run_gives_the_account(source, tmp_path, capsys):
    flags = ["--start-from", str(source), "--size", "3", "--dry-run", "--run-dir", str(tmp_path / "run")]
    assert main(EXPERIMENT, flags) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index(f"start       from {source} (tests.runs.test_starting), step 4: 4 of 6 arrays are copied")
    assert lines[at + 1] == "  not copied: first/params/sized: float32[2] there, float32[3] here"
    assert list(tmp_path.iterdir()) == []


def test_a_trainer_that_cannot_begin_is_refused(source, tmp_path):
    system = build(Config())
    assert pmapped(system.objective, dict.fromkeys(system.objective.losses, optax.sgd(0.1))).begin is None
    other = EXPERIMENT._replace(build=lambda config: system._replace(trainer=system.trainer._replace(begin=None)))
    with pytest.raises(SystemExit, match="2"):
        main(other, ["--start-from", str(source), "--run-dir", str(tmp_path / "run")])


def test_a_changed_record_is_damage(source, tmp_path):
    run = started(tmp_path / "run", source, "--steps", "0")
    content = json.loads((run / "config.json").read_text())
    content["start_from"]["step"] = 3
    (run / "config.json").write_text(json.dumps(content))
    (found,) = damage.damages(run)
    assert "start_from.step is 3, the checkpoints have 4" in found.fault
    content["start_from"] = 3
    (run / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="start_from must be an object, got 3"):
        gx.load_run(run)
