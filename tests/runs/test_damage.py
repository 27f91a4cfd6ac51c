"""Damage of a run's directory: a resumed run is the uninterrupted one, or is refused in one line before compute."""

import dataclasses
import json
import os
import random
import re
import shutil
import signal
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

import genjax_models as gx
from experiments import vae
from genjax_models import commands
from genjax_models.commands.train import main
from genjax_models.errors import CheckpointError, InputError
from genjax_models.reports import final_evaluation
from genjax_models.runs import checkpoints, directory, engine, feed, fit, lock
from genjax_models.runs.damage import damages

FLAGS = "--hidden 8 --batch-size 12 --steps 13 --evaluate-every 5 --log-every 4 --schedule constant --warmup 0"


@pytest.fixture(scope="module", autouse=True)
def _without_reports():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(final_evaluation, "report", lambda trained: None)
        yield


def stopped_after(step, arguments):
    """Runs until SIGTERM comes after this step."""
    timed = fit._timed_chunk

    def chunk(*values):
        state, metrics = timed(*values)
        if int(state.step) >= step:
            os.kill(os.getpid(), signal.SIGTERM)
        return state, metrics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_timed_chunk", chunk)
        patch.setattr(feed, "LONGEST_CHUNK", 2)
        with pytest.raises(SystemExit, match="143"):
            main(vae.EXPERIMENT, arguments)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that nobody stopped, the same run stopped after 8 of 13 steps, and a stopped run of another seed."""
    folder, random_ = tmp_path_factory.mktemp("runs"), np.random.RandomState(0)
    np.savez(folder / "small.npz", x=random_.randint(0, 256, (60, 6, 6, 1), np.uint8))
    flags = ["--data", str(folder / "small.npz"), *FLAGS.split()]
    assert main(vae.EXPERIMENT, [*flags, "--run-dir", str(folder / "whole")]) == 0
    stopped_after(8, [*flags, "--run-dir", str(folder / "stopped")])
    stopped_after(8, [*flags, "--seed", "1", "--run-dir", str(folder / "other")])
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """A copy of the stopped run."""
    return shutil.copytree(runs / "stopped", tmp_path / "run")


def assert_refused(run, capsys, words, arguments=()):
    with pytest.raises(SystemExit, match="2"):
        main(vae.EXPERIMENT, ["--resume", str(run), *arguments])
    message = capsys.readouterr().err
    assert message.count("\n") == 1, message
    assert re.search(words, message), message


def state_of(run, which="last"):
    state = gx.load_run(run, which).state
    return state._replace(key=jax.random.key_data(state.key))


def assert_same(run, whole):
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    chex.assert_trees_all_equal(state_of(run), state_of(whole))
    for path in sorted((whole / "figures").glob("samples_*")):
        assert (run / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def flip(path, source):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def doubled(path, source):
    path.write_bytes(2 * path.read_bytes())


def linked(path, source):
    outside = path.parents[1] / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)


def of_another_run(path, source):
    shutil.copyfile(source, path)


DAMAGES = {
    "a flipped bit": flip,
    "cut": lambda path, source: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path, source: path.write_bytes(b""),
    "deleted": lambda path, source: path.unlink(),
    "doubled": doubled,
    "a list": lambda path, source: path.write_text("[]"),
    "null": lambda path, source: path.write_text("null"),
    "brackets": lambda path, source: path.write_text("[" * 100_000),
    "a symbolic link": linked,
    "of another run": of_another_run,
}


def fuzz(runs, cases, tmp_path, capsys, monkeypatch):
    """Damages one file at a time, and resumes; returns how many runs were refused."""
    computed, fit_members, refusals = [], engine.fit_members, 0
    monkeypatch.setattr(engine, "fit_members", lambda *a, **k: computed.append(1) or fit_members(*a, **k))
    for name, kind in cases:
        run = shutil.copytree(runs / "stopped", tmp_path / "run")
        DAMAGES[kind](run / name, runs / "other" / name)
        computed.clear()
        capsys.readouterr()
        try:
            status = main(vae.EXPERIMENT, ["--resume", str(run)])
        except SystemExit as stop:
            status = stop.code
        message = capsys.readouterr().err
        assert status in (0, 2), (name, kind, message)
        if status == 0:
            assert_same(run, runs / "whole")
        else:
            assert message.count("\n") == 1, (name, kind, message)
            assert not computed, (name, kind)
            refusals += 1
        shutil.rmtree(run)
        (tmp_path / "outside").unlink(missing_ok=True)
    return refusals


def cases_of(runs):
    names = sorted(str(p.relative_to(runs / "stopped")) for p in (runs / "stopped").rglob("*") if p.is_file())
    return [(name, kind) for name in names for kind in DAMAGES if (runs / "other" / name).exists()]


@pytest.mark.slow
def test_a_damaged_file_never_makes_another_run(runs, tmp_path, capsys, monkeypatch):
    cases = cases_of(runs)
    outside = [case for case in cases if not case[0].startswith("checkpoints")]
    random_ = random.Random(0)
    chosen = random_.sample(outside, 10) + random_.sample([case for case in cases if case not in outside], 4)
    assert 0 < fuzz(runs, chosen, tmp_path, capsys, monkeypatch) < len(chosen)


@pytest.mark.slow
def test_every_damage_of_every_file_never_makes_another_run(runs, tmp_path, capsys, monkeypatch):
    cases = cases_of(runs)
    refusals = fuzz(runs, cases, tmp_path, capsys, monkeypatch)
    assert 0 < refusals < len(cases)
    print(f"{len(cases)} damages, of which {refusals} are refused")


def checked(run, capsys):
    status = commands.main(["check", str(run)])
    return status, capsys.readouterr().out.splitlines()


def test_check_finds_no_damage_in_a_run_that_has_none(runs, capsys):
    for name in ("whole", "stopped"):
        assert checked(runs / name, capsys) == (0, [f"{runs / name}: no damage"])


def test_check_lists_every_damage(run, capsys):
    (run / "environment.json").unlink()
    flip(run / "figures" / "samples_00000005.npy", None)
    oldest = min((run / "checkpoints").glob("????????"))
    flip(oldest / "manifest.json", None)
    status, lines = checked(run, capsys)
    assert status == 1
    assert [line.split(": ")[0].removeprefix(f"{run}/") for line in lines] == [
        *(f"checkpoints/{oldest.name}", "environment.json", "figures/samples_00000005.npy")
    ]
    assert [line.endswith("(--resume makes it good)") for line in lines] == [True, True, False]


def test_check_needs_a_run(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        commands.main(["check", str(tmp_path)])
    assert capsys.readouterr().err == f"error: {tmp_path}: holds no run (no config.json)\n"


@pytest.mark.parametrize("loss", ["damaged", "lost"])
def test_fault_53_a_run_without_checkpoints_is_never_begun_anew(loss, run, capsys):
    for place in (run / "checkpoints").glob("????????"):
        if loss == "damaged":
            flip(place / "manifest.json", None)
        else:
            shutil.rmtree(place)
    before = (run / "metrics.jsonl").read_bytes()
    for _ in range(2):
        assert_refused(run, capsys, rf"{run}/checkpoints.*to start over: --run-dir {run} --overwrite")
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda stored: stored["config"].update(seed=1), "seed is 1, the checkpoints have 0"),
        (lambda stored: stored["config"].pop("latent"), "latent is absent, the checkpoints have 2"),
        (lambda stored: stored["config"]["optimizer"].update(b1=0.5), r"optimizer.b1 is 0.5, the checkpoints have 0.9"),
        (lambda stored: stored["config"].update(more=3), "more is 3, the checkpoints have no such field"),
        (lambda stored: stored.update(experiment="experiments.iwae"), "is a run of|the checkpoints are of"),
    ],
)
def test_fault_54_another_config_than_that_of_the_checkpoints_is_refused(edit, words, run, capsys):
    stored = json.loads((run / "config.json").read_text())
    edit(stored)
    directory.write_json(run / "config.json", stored)
    assert_refused(run, capsys, words)
    if "experiment" not in words and stored["experiment"] == "experiments.vae":
        with pytest.raises((CheckpointError, InputError), match=words.split(" ")[0]):
            gx.load_run(run)


def test_fault_54_checkpoints_of_another_run_are_refused(run, runs, capsys):
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(runs / "other" / "checkpoints", run / "checkpoints")
    assert_refused(run, capsys, "seed is 0, the checkpoints have 1")


@pytest.mark.slow
def test_fault_55_a_damaged_best_checkpoint_is_put_aside_before_training(runs, tmp_path, capsys):
    run = shutil.copytree(runs / "whole", tmp_path / "run")
    best = run / "checkpoints" / f"{checkpoints._best(run / 'checkpoints'):08d}"
    flip(max((p for p in best.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size), None)
    assert main(vae.EXPERIMENT, ["--resume", str(run), "--steps", "14"]) == 0
    assert f"warning: {best}" in capsys.readouterr().err
    assert best.with_name(f"{best.name}.damaged").is_dir()
    gx.load_run(run, "best")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda lines: [], r"metrics.jsonl: has 0 whole rows"),
        (lambda lines: [lines[0], b"{\n", *lines[2:]], r"metrics.jsonl: one of its first \d rows was changed"),
        (lambda lines: [lines[0], *lines], r"metrics.jsonl: one of its first \d rows was changed"),
        (lambda lines: [b"\xff\xfe\n", *lines[1:]], r"metrics.jsonl: one of its first \d rows was changed"),
        (lambda lines: [b"[]\n", *lines[1:]], r"metrics.jsonl: one of its first \d rows was changed"),
        (lambda lines: lines[:-1], r"metrics.jsonl: has \d whole rows, the newest checkpoint counts on \d"),
    ],
)
def test_fault_56_rows_other_than_those_that_were_written_are_refused(edit, words, run, capsys):
    path = run / "metrics.jsonl"
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    assert_refused(run, capsys, words)


@pytest.mark.slow
def test_fault_56_a_torn_last_line_is_dropped(run, runs):
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 12, "spl')
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    assert_same(run, runs / "whole")


def test_fault_57_what_can_be_made_again_is_and_strays_are_ignored(run, runs):
    environment = (run / "environment.json").read_bytes()
    (run / "environment.json").write_text("{")
    (run / "figures" / "samples_00000005.png").unlink()
    (run / "figures" / "samples_final.npy").write_bytes(b"mine")
    (run / "figures" / "samples_00000099.npy").write_bytes(b"mine")
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    assert (run / "environment.json").read_bytes() == environment
    assert_same(run, runs / "whole")


def test_fault_57_samples_that_were_lost_are_named(run, capsys):
    (run / "figures" / "samples_00000005.npy").unlink()
    assert_refused(run, capsys, r"figures/samples_00000005.npy: is missing")


@pytest.mark.slow
def test_fault_66_a_run_that_stores_few_samples_resumes_also_from_its_older_checkpoint(run, runs):
    """The samples of step 5 go at step 10, when the checkpoint at 8 no longer needs them."""
    for _ in range(2):
        assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
        assert damages(run) == []
        stored = {int(path.stem.split("_")[1]) for path in (run / "figures").glob("samples_*.npy")}
        assert stored == {0, 10, 13}
        chex.assert_trees_all_equal(state_of(run), state_of(runs / "whole"))
        flip(run / "checkpoints" / "00000013" / "manifest.json", None)


@pytest.mark.parametrize(
    "text", ["[]", "null", "7", '"text"', "[" * 100_000, '{"config": 1, "experiment": 2}', "\udcff"]
)
@pytest.mark.parametrize(
    "name", ["config.json", "environment.json", "result.json", "checkpoints/00000005/manifest.json"]
)
def test_fault_58_json_of_another_type_is_one_line_that_names_the_file(name, text, run):
    (run / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert any(str(damage.file) in str(run / name) for damage in damages(run)) or "config" in text


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("training", 3, "training must be a group of fields, got 3"),
        ("seed", "one", "seed has a value of another type"),
        ("hidden", None, "hidden"),
        ("colour", 1, r"has fields \['colour'\]"),
    ],
)
def test_fault_58_a_field_of_another_type_is_named(field, value, words, run):
    stored = json.loads((run / "config.json").read_text())
    group = stored["config"] if field != "hidden" else stored["config"]["networks"]
    group[field] = value
    with pytest.raises(InputError, match=words):
        directory.as_config(stored, vae.Config, run / "config.json")


def test_fault_59_a_directory_that_was_replaced_is_not_written_to(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with lock.locked(run) as check:
        check()
        run.rename(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="was moved or replaced since this run began"):
            check()
        run.mkdir()
        with lock.locked(run), pytest.raises(OSError, match="was moved or replaced"):
            check()


def test_fault_59_a_run_whose_directory_moves_stops_in_one_line(runs, tmp_path, capsys, monkeypatch):
    run, timed = shutil.copytree(runs / "stopped", tmp_path / "run"), fit._timed_chunk

    def chunk(*values):
        if run.exists():
            run.rename(tmp_path / "moved")
            shutil.copytree(tmp_path / "moved", run)
        return timed(*values)

    monkeypatch.setattr(fit, "_timed_chunk", chunk)
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(SystemExit, match="1"):
        main(vae.EXPERIMENT, ["--resume", str(run)])
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {run}: was moved or replaced since this run began; nothing more is written"
    )
    assert (run / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "metrics.csv", "config.json", ".lock", "figures", "checkpoints"])
def test_fault_60_links_within_a_run_are_refused(name, run, tmp_path, capsys):
    (run / name).rename(tmp_path / "outside")
    (run / name).symlink_to(tmp_path / "outside")
    assert_refused(run, capsys, rf"{run / name}: is a symbolic link")


def test_only_weights_and_biases_may_make_links_in_its_own_folder(run, tmp_path, capsys):
    (run / "wandb").mkdir()
    (run / "wandb" / "latest-run").symlink_to(tmp_path)
    assert damages(run) == []
    (run / "wandb").rename(tmp_path / "outside")
    (run / "wandb").symlink_to(tmp_path / "outside")
    assert_refused(run, capsys, rf"{run / 'wandb'}: is a symbolic link")


@pytest.mark.slow
def test_fault_60_strays_among_the_checkpoints_are_ignored(run, runs):
    (run / "checkpoints" / "00000099").write_text("a file")
    (run / "checkpoints" / "7").mkdir()
    (run / "checkpoints" / "notes").mkdir()
    (run / "checkpoints" / "12345678.partial").write_text("a file")
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    assert_same(run, runs / "whole")


def test_fault_67_all_that_a_manifest_counts_on_is_synced_before_it(runs, tmp_path, monkeypatch):
    """The order of the calls at each save: rows, samples and the run's folder, then the checkpoint and its folders."""
    run, synced = shutil.copytree(runs / "stopped", tmp_path / "run"), []
    for module in (directory, checkpoints):
        monkeypatch.setattr(module, "sync", lambda path: synced.append(Path(path)))
    monkeypatch.setattr("genjax_models.runs.metrics_file.sync", lambda path: synced.append(Path(path)))
    rename = os.rename

    def recorded(source, target):
        if Path(target).parent.name == "checkpoints":
            synced.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "rename", recorded)
    assert main(vae.EXPERIMENT, ["--resume", str(run)]) == 0
    before = synced[: synced.index("rename")]
    for path in (run / "metrics.jsonl", run / "figures" / "samples_00000010.npy", run / "figures", run):
        assert path in before, path
    partial = run / "checkpoints" / "00000010.partial"
    assert {partial, partial / "manifest.json", partial / "arrays"} <= set(before)


def test_fault_68_a_run_that_was_killed_before_its_config_is_overwritten(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / ".lock").write_text("")
    (run / "figures").mkdir()
    with pytest.raises(InputError, match="--overwrite"):
        directory.create(run, "vae")
    assert directory.create(run, "vae", overwrite=True) == run


@pytest.mark.parametrize("part", ["about", "leaves", "files", "score"])
def test_fault_58_a_manifest_without_its_parts_is_damaged(part, run, capsys):
    """Its digest is right, as of a file that another program wrote."""
    place = max((run / "checkpoints").glob("????????"))
    manifest = json.loads((place / "manifest.json").read_text())
    del manifest["digest"]
    manifest[part] = ["a list"]
    (place / "manifest.json").write_text(json.dumps({**manifest, "digest": checkpoints.digest_of_manifest(manifest)}))
    assert checked(run, capsys)[0] == 1
    with pytest.raises(CheckpointError, match=f"{part} must be"):
        checkpoints.read_manifest(place)


def test_a_stored_config_keeps_paths_and_nested_tuples(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Config:
        path: Path | None = None
        blocks: tuple[tuple[int, int], ...] = ()

    config = Config(Path("a/b"), ((1, 2), (3, 4)))
    stored = directory.json_of(directory.config_as_json("toy", config))
    assert directory.as_config(stored, Config, tmp_path / "config.json") == config
