"""Checkpoints come back exactly or not at all."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.errors import CheckpointError
from genjax_models.runs import checkpoints
from genjax_models.types import Aux, Batch, Objective

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(optax.cosine_decay_schedule(0.1, 20)))
BATCH = Batch(jnp.linspace(-1, 1, 6).reshape(3, 2))


def game(width=4, dtype=jnp.float32, frozen=True):
    """A player with statistics and noise, an average of it, and a frozen player in another precision."""

    def init(key, batch):
        player = {
            "params": {"w": jax.random.normal(key, (2, width), dtype), "b": jnp.zeros(width)},
            "batch_stats": {"count": jnp.int32(0)},
        }
        still = {"params": {"table": jnp.arange(6, dtype=jnp.uint8), "half": jnp.bfloat16([0.1, 3])}}
        return {"player": player, "frozen": still} if frozen else {"player": player}

    def loss(variables, key, batch, step):
        player = variables["player"]
        out = batch.x @ player["params"]["w"] + player["params"]["b"] + jax.random.normal(key, (width,))
        moved = {"player": {**player, "batch_stats": {"count": player["batch_stats"]["count"] + 1}}}
        return jnp.mean(out**2), Aux(variables=moved)

    return gx.trainer(
        Objective(init, {"player": loss}, lambda *_: None), {"player": OPTIMIZER}, average={"player": 0.9}
    )


def shape_of(trainer):
    return jax.eval_shape(trainer.init, jax.eval_shape(lambda: jax.random.key(0)), BATCH)


def after(steps, trainer, step, state=None):
    state = trainer.init(jax.random.key(7), BATCH) if state is None else state
    for _ in range(steps):
        state, _ = step(state, BATCH)
    return state


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert one.dtype == other.dtype
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.fixture(scope="module")
def trained():
    trainer = game()
    step = jax.jit(trainer.step)
    return trainer, step, after(3, trainer, step)


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """A folder with two checkpoints: step 3 is the best, step 4 the last. Tests copy it."""
    trainer, step, state = trained
    folder = tmp_path_factory.mktemp("written") / "checkpoints"
    checkpoints.save(folder, state, score=7.0, about={"experiment": "game", "config": {"latent": 2}})
    checkpoints.save(folder, after(1, trainer, step, state), score=5.0, about={})
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "checkpoints")


def at(state, step):
    return state._replace(step=jnp.int32(step))


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir())


def test_a_restored_run_goes_on_as_if_nothing_had_happened(trained, tmp_path):
    trainer, step, state = trained
    place = checkpoints.save(tmp_path / "new" / "checkpoints", state, score=None, about={})
    assert place == tmp_path / "new" / "checkpoints" / "00000003"
    restored = checkpoints.restore(tmp_path / "new" / "checkpoints", shape_of(trainer), "last")
    assert_same(restored, state)
    assert jnp.issubdtype(restored.key.dtype, jax.dtypes.prng_key)
    assert_same(after(2, trainer, step, restored), after(2, trainer, step, state))


def test_best_and_last_are_what_their_names_say(folder, trained):
    like = shape_of(trained[0])
    assert int(checkpoints.restore(folder, like).step) == 3
    assert int(checkpoints.restore(folder, like, "best").step) == 3
    assert int(checkpoints.restore(folder, like, "last").step) == 4


def test_the_manifest_says_what_the_checkpoint_is_of(folder):
    manifest = checkpoints.read_manifest(folder / "00000003")
    assert (manifest["step"], manifest["score"]) == (3, 7.0)
    assert manifest["about"] == {"experiment": "game", "config": {"latent": 2}}


@pytest.mark.parametrize(
    ("scores", "best", "kept"),
    [
        ([1, 3, 2], 2, [2, 3]),
        ([1, 2, 3], 3, [2, 3]),
        ([3, 2, 1, 0], 1, [1, 3, 4]),
        ([-9.5, -3.25, -4], 2, [2, 3]),
        ([None, None], 2, [1, 2]),
        ([None, 1, None], 2, [2, 3]),
        ([None, 1], 2, [1, 2]),
        ([float("nan"), 1, 0.5], 2, [2, 3]),
        ([1, float("nan")], 1, [1, 2]),
    ],
)
def test_only_the_two_newest_and_the_best_are_kept(scores, best, kept, trained, tmp_path):
    trainer, _, state = trained
    for step, score in enumerate(scores, 1):
        checkpoints.save(tmp_path, at(state, step), score=score, about={})
    assert steps_in(tmp_path) == kept
    assert int(checkpoints.restore(tmp_path, shape_of(trainer), "best").step) == best
    assert int(checkpoints.restore(tmp_path, shape_of(trainer), "last").step) == len(scores)


def test_fault_47_order_is_by_step_number_beyond_eight_digits(trained, tmp_path):
    for step in (99_999_999, 100_000_000):
        checkpoints.save(tmp_path, at(trained[2], step), score=None, about={})
    assert int(checkpoints.restore(tmp_path, shape_of(trained[0]), "last").step) == 100_000_000
    assert steps_in(tmp_path) == [99_999_999, 100_000_000]


def test_saving_a_step_again_leaves_what_stands(trained, tmp_path):
    trainer, _, state = trained
    checkpoints.save(tmp_path, state, score=1.0, about={})
    checkpoints.save(tmp_path, state, score=None, about={})
    assert_same(checkpoints.restore(tmp_path, shape_of(trainer)), state)
    assert checkpoints.read_manifest(tmp_path / "00000003")["score"] == 1.0


def payload(folder):
    return sorted(path for path in (folder / "00000003").rglob("*") if path.is_file() and path.name != "manifest.json")


def flip(path, byte, bit=0):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def test_fault_31_one_flipped_bit_in_any_file_is_an_error_that_names_the_file(folder, trained):
    like, files = shape_of(trained[0]), payload(folder)
    assert sum(path.stat().st_size for path in files) > sum(leaf.nbytes for leaf in jax.tree.leaves(trained[2][2:]))
    for path in files:
        before = path.read_bytes()
        for byte in {0, len(before) // 2, len(before) - 1} if before else ():
            flip(path, byte, bit=byte % 8)
            with pytest.raises(CheckpointError, match="damaged") as caught:
                checkpoints.restore(folder, like)
            assert str(path) in str(caught.value)
            path.write_bytes(before)
    assert int(checkpoints.restore(folder, like).step) == 3


def test_fault_30_a_missing_or_truncated_file_is_an_error_that_names_it(folder, trained):
    like = shape_of(trained[0])
    for path in payload(folder):
        before = path.read_bytes()
        path.unlink()
        with pytest.raises(CheckpointError, match="missing") as caught:
            checkpoints.restore(folder, like)
        assert str(path) in str(caught.value)
        if before:
            path.write_bytes(before[:-1])
            with pytest.raises(CheckpointError, match="damaged") as caught:
                checkpoints.restore(folder, like)
            assert str(path) in str(caught.value)
        path.write_bytes(before)


@pytest.mark.parametrize("field", ["format", "step", "score", "about", "leaves", "files"])
def test_one_flipped_bit_in_the_manifest_is_an_error_or_changes_nothing(field, folder, trained):
    like, path = shape_of(trained[0]), folder / "00000003" / "manifest.json"
    before, expected = path.read_bytes(), checkpoints.restore(folder, like)
    start = before.index(f'"{field}"'.encode())
    for byte in range(start, start + 24):
        flip(path, byte, bit=byte % 7)
        try:
            found = checkpoints.restore(folder, like)
        except CheckpointError as error:
            assert str(folder / "00000003") in str(error)  # noqa: PT017 - either outcome will do
        else:
            assert_same(found, expected)
        path.write_bytes(before)


def test_one_flipped_bit_in_a_score_does_not_make_another_checkpoint_the_best(folder, trained):
    path = folder / "00000003" / "manifest.json"
    flip(path, path.read_bytes().index(b"7.0"), bit=2)
    assert '"score": 3.0' in path.read_text()
    with pytest.raises(CheckpointError, match=r"00000003/manifest\.json"):
        checkpoints.restore(folder, shape_of(trained[0]))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "\0"])
def test_a_manifest_that_is_none_is_an_error_that_names_it(text, folder, trained):
    (folder / "00000003" / "manifest.json").write_text(text)
    for which in ("best", "last"):
        if which == "last":
            shutil.rmtree(folder / "00000004")
        with pytest.raises(CheckpointError, match=r"00000003/manifest\.json"):
            checkpoints.restore(folder, shape_of(trained[0]), which)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"width": 5}, ["['w']", "float32[2, 4]", "float32[2, 5]", "8 in all"]),
        ({"dtype": jnp.bfloat16}, ["['w']", "float32[2, 4]", "bfloat16[2, 4]"]),
        ({"frozen": False}, ["['frozen']", "uint8[6]", "nothing"]),
    ],
)
def test_fault_32_another_model_is_refused_with_the_first_differences(other, words, folder):
    with pytest.raises(CheckpointError, match="another model") as caught:
        checkpoints.restore(folder, shape_of(game(**other)))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_fault_34_names_in_a_tree_are_never_paths(trained, tmp_path):
    folder, evil = tmp_path / "deep" / "er" / "run" / "checkpoints", str(tmp_path / "evil")
    names = {"../../../evil": jnp.ones(2), evil: jnp.zeros(3), "..": jnp.ones(()), "a/b": {"../c": jnp.arange(4)}}
    state = trained[2]._replace(variables={"../player": {"params": names}})
    checkpoints.save(folder, state, score=None, about={})
    assert_same(checkpoints.restore(folder, state), state)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep" / "er" / "run").iterdir()] == ["checkpoints"]
    assert [path.name for path in folder.iterdir()] == ["00000003"]


def test_fault_34_names_in_a_manifest_are_never_followed(folder, trained):
    """A file outside with the right digest is not what the checkpoint holds."""
    path, outside = folder / "00000003" / "manifest.json", folder.parent / "outside"
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    victim = next(name for name in manifest["files"] if (path.parent / name).stat().st_size)
    (path.parent / victim).rename(outside)
    manifest["files"]["../../outside"] = manifest["files"].pop(victim)
    path.write_text(json.dumps({**manifest, "digest": checkpoints.digest_of_manifest(manifest)}))
    with pytest.raises(CheckpointError, match=r"\.\./\.\./outside is missing"):
        checkpoints.restore(folder, shape_of(trained[0]))


def test_a_model_with_more_players_is_refused(trained, tmp_path):
    trainer = game(frozen=False)
    checkpoints.save(tmp_path, trainer.init(jax.random.key(0), BATCH), score=None, about={})
    with pytest.raises(CheckpointError, match=r"checkpoint has nothing, model has bfloat16\[2\]"):
        checkpoints.restore(tmp_path, shape_of(trained[0]))


def test_fault_48_a_newer_format_is_refused(folder, trained):
    path = folder / "00000003" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "format": checkpoints.FORMAT + 1}))
    with pytest.raises(CheckpointError, match=f"format {checkpoints.FORMAT + 1}.*up to {checkpoints.FORMAT}"):
        checkpoints.restore(folder, shape_of(trained[0]))


def test_fault_38_what_a_killed_save_left_is_ignored_and_then_cleaned(folder, trained):
    trainer, _, state = trained
    shutil.copytree(folder / "00000004", folder / "00000009.partial")
    (folder / "00000009.partial" / "manifest.json").unlink()
    assert int(checkpoints.restore(folder, shape_of(trainer), "last").step) == 4
    checkpoints.save(folder, at(state, 9), score=0.0, about={})
    assert sorted(path.name for path in folder.iterdir()) == ["00000003", "00000004", "00000009"]
    assert_same(checkpoints.restore(folder, shape_of(trainer), "last"), at(state, 9))


def test_fault_40_a_save_that_fails_leaves_the_last_good_checkpoint(folder, trained, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "sync", full)
        with pytest.raises(OSError, match="No space"):
            checkpoints.save(folder, at(trained[2], 5), score=9.0, about={})
    assert int(checkpoints.restore(folder, shape_of(trained[0]), "best").step) == 3
    assert int(checkpoints.restore(folder, shape_of(trained[0]), "last").step) == 4


@pytest.mark.parametrize("which", ["best", "last"])
def test_an_empty_or_absent_folder_is_an_error(which, trained, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match=f"{folder} holds no checkpoint"):
            checkpoints.restore(folder, shape_of(trained[0]), which)
