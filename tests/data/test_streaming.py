"""A stream is a function of seed and step; data on disk equal data in memory; damaged files are named."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from PIL import Image

from genjax_models.data import Split, from_splits, load, records, streaming
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.prepare import prepare
from genjax_models.data.records import Records
from genjax_models.data.splits import split_at_random
from genjax_models.errors import InputError
from genjax_models.training import data_mesh
from genjax_models.types import Batch

pytest.importorskip("grain")

X = np.random.RandomState(0).randint(0, 256, (50, 4, 6, 1)).astype(np.uint8)
LABEL = np.arange(50, dtype=np.int32)
LENGTH = 1 + LABEL % 4
FACTORS = np.random.RandomState(1).rand(50, 3).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Moves the cache away from the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "genjax_models" / "images"


@pytest.fixture
def data(tmp_path):
    """All of X, as records."""
    return Batch(records.keep(tmp_path / "x.records", iter(X)), LABEL)


def stream_of(data, batch_size=8, **options):
    return streaming.Stream(data, batch_size=batch_size, **{"seed": 3, **options})


def folder_of(path, x):
    path.mkdir()
    for i, image in enumerate(x):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(path / f"{i:03}.png")
    return path


def batches(stream, first, count):
    chunk = stream.chunk(first, count, count)
    return [jax.tree.map(lambda leaf, i=i: leaf[i], chunk) for i in range(count)]


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_every_epoch_is_a_permutation_of_its_own_without_the_remainder(data):
    stream = stream_of(data)  # 50 examples: 6 batches of 8
    epochs = [np.concatenate([stream.rows(6 * epoch + i) for i in range(6)]) for epoch in range(3)]
    for rows in epochs:
        assert len(set(rows.tolist())) == 48
        assert set(rows.tolist()) <= set(range(50))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (epochs[one] == epochs[other]).mean() < 0.2
    assert len({frozenset(rows.tolist()) for rows in epochs}) == 3  # each leaves out another remainder


def test_threads_that_read_at_the_start_of_an_epoch_permute_it_once(data, monkeypatch):
    made = []

    def slow(seed):
        made.append(seed)
        time.sleep(0.02)
        return np.random.mtrand.RandomState(seed)

    monkeypatch.setattr(streaming.np.random, "RandomState", slow)
    stream = stream_of(data)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(stream.rows, range(12)))) == 12
    assert sorted(made) == [[3, 0], [3, 1]]


def test_runs_of_neighbouring_seeds_share_no_epoch(data):
    """With a seed that grows by one at each epoch, the second epoch of seed 0 would be the first of seed 1."""
    epochs = [stream_of(data, seed=seed).rows(6 * epoch).tolist() for seed in range(3) for epoch in range(3)]
    assert len({tuple(rows) for rows in epochs}) == 9


def test_batches_are_a_function_of_seed_and_step(data):
    stream = stream_of(data)
    expected = [Batch(X[stream.rows(step)], LABEL[stream.rows(step)]) for step in range(20)]
    assert_equal(batches(stream, 0, 20), expected)
    assert_equal(batches(stream, 7, 4), expected[7:11])  # back to the middle of an epoch
    assert_equal(batches(stream, 11, 3), expected[11:14])
    assert_equal(batches(stream_of(data), 13, 7), expected[13:])  # a new stream
    other = stream_of(data, seed=4)
    assert not np.array_equal(other.rows(0), stream.rows(0))
    for one in (stream, other):
        one.close()


def test_a_chunk_may_be_longer_than_the_steps_that_count(data):
    stream = stream_of(data)
    chunk = stream.chunk(2, 3, 5)
    assert chunk.x.shape == (5, 8, 4, 6, 1)
    assert chunk.label.shape == (5, 8)
    assert chunk.x.dtype == np.uint8
    assert_equal(jax.tree.map(lambda leaf: leaf[:3], chunk), stream.chunk(2, 3, 3))
    unlabelled = stream_of(Batch(data.x))
    assert unlabelled.chunk(0, 1, 1).label is None


def test_lengths_and_factors_are_streamed_with_their_examples(data):
    stream = stream_of(data._replace(length=LENGTH, factors=FACTORS))
    expected = [Batch(X[rows], LABEL[rows], LENGTH[rows], FACTORS[rows]) for rows in map(stream.rows, range(9))]
    assert_equal(batches(stream, 0, 9), expected)
    assert_equal(stream[4], expected[4])
    chunk = stream.chunk(0, 2, 3)
    assert (chunk.length.shape, chunk.length.dtype) == ((3, 8), np.int32)
    assert (chunk.factors.shape, chunk.factors.dtype) == ((3, 8, 3), np.float32)
    assert stream_of(data).chunk(0, 1, 1)[2:] == (None, None)


def test_a_data_set_on_disk_keeps_lengths_and_factors_in_all_its_splits(data, monkeypatch):
    """Also in held-out splits, of which only a part is in memory. Prepared sequences end in zeros."""
    from genjax_models.data import dataset

    monkeypatch.setattr(dataset, "_HELD_OUT_BYTES", 3 * X[0].nbytes)
    whole = Split(data.x, LABEL, LENGTH, FACTORS)
    prepared = prepare(from_splits(*split_at_random(whole, (30, 10, 10)), num_classes=50), binarise="none")
    stream = stream_of(prepared.train)
    held_out = prepared.validation, prepared.test
    assert [len(batch.x) for batch in held_out] == [3, 3]
    for batch in (prepared.example, prepared.training_examples(np.array([5, 1])), *held_out, *batches(stream, 0, 4)):
        expected = X[batch.label]
        if batch.x.dtype == np.float32:  # prepared values are scaled to [0, 1]
            has_data = np.arange(4)[:, None, None] < LENGTH[batch.label][:, None, None, None]
            expected = np.where(has_data, expected / 255, 0)
        np.testing.assert_allclose(np.asarray(batch.x), expected, rtol=1e-5)
        np.testing.assert_array_equal(batch.length, LENGTH[batch.label])
        np.testing.assert_array_equal(batch.factors, FACTORS[batch.label])


@pytest.mark.parametrize("count", [2, 4])
def test_the_shares_of_processes_side_by_side_are_the_batch_of_one(count, data):
    alone = batches(stream_of(data), 3, 9)
    shares = [batches(stream_of(data, index=index, count=count), 3, 9) for index in range(count)]
    for i, whole in enumerate(alone):
        assert shares[0][i].x.shape == (8 // count, 4, 6, 1)
        assert_equal(jax.tree.map(lambda *parts: np.concatenate(parts), *(share[i] for share in shares)), whole)


def test_a_position_is_small_and_recognises_its_stream(data):
    stream = stream_of(data)
    position = stream.position(17)
    assert position == {"seed": 3, "next_index": 17, "next_rows": stream.rows(17).tolist()}
    stream_of(data).check(position)
    for other in (stream_of(data, seed=4), stream_of(data, batch_size=7), stream_of(Batch(data.x[:49]))):
        with pytest.raises(InputError, match="data, batch size or seed have changed"):
            other.check(position)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 51}, "`batch_size` must be 1 to 50, the size of the training split, got 51"),
        ({"batch_size": 0}, "`batch_size` must be 1 to 50, the size of the training split, got 0"),
        ({"count": 3}, "`batch_size` must be a multiple of 3, the number of processes, got 8"),
    ],
)
def test_a_batch_size_that_does_not_fit_is_refused(options, words, data):
    with pytest.raises(InputError, match=words):
        stream_of(data, **options)


class Recorded:
    """A stream that lists the requested chunks."""

    def __init__(self, stream):
        self.stream, self.requests = stream, []

    def chunk(self, step, num_steps, length):
        self.requests.append((step, num_steps))
        return self.stream.chunk(step, num_steps, length)

    def close(self):
        self.stream.close()


def test_one_chunk_is_prefetched_and_no_more(data):
    stream = Recorded(stream_of(data))
    plan = lambda step: min(4, 10 - step)
    with streaming.Prefetch(stream, plan, 4) as feed:
        expected = batches(stream_of(data), 0, 10)
        for step, count, requests in ((0, 4, 2), (4, 4, 3), (8, 2, 3)):  # no request after the last chunk
            chunk, num_steps = feed(step)
            assert num_steps == count
            assert isinstance(chunk.x, jax.Array)
            for i in range(count):
                assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], chunk), expected[step + i])
            again, _ = feed(step)
            assert again is chunk
            deadline = time.monotonic() + 30
            while len(stream.requests) < requests and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(stream.requests) == requests
        elsewhere, _ = feed(3)  # a step that was not planned
        assert_equal(jax.tree.map(lambda leaf: leaf[0], elsewhere), expected[3])


@pytest.mark.four_devices
def test_a_chunk_is_spread_over_devices_by_batch(data):
    mesh = data_mesh(4)
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "data"))
    with streaming.Prefetch(stream_of(data), lambda step: 3, 3, sharding) as feed:
        chunk, _ = feed(0)
    assert chunk.x.sharding == sharding
    assert {shard.data.shape for shard in chunk.x.addressable_shards} == {(3, 2, 4, 6, 1)}
    assert_equal(jax.tree.map(np.asarray, chunk), stream_of(data).chunk(0, 3, 3))


def test_an_error_while_prefetching_is_raised_where_the_chunk_is_used(data):
    data.x.file.write_bytes(data.x.file.read_bytes()[:-1])  # the last example misses a byte
    last = 49
    words = rf"x\.records: example {last} is damaged\. Remove this file"
    with streaming.Prefetch(stream_of(data), lambda step: 6, 6) as feed, pytest.raises(InputError, match=words):
        list(map(feed, range(0, 120, 6)))


@pytest.mark.parametrize("rows", [slice(2, 9), [4, 1, 1], np.array([7, 0]), slice(None)])
def test_records_are_read_by_row_and_are_views_until_then(rows, data, monkeypatch):
    view = data.x[rows]
    np.testing.assert_array_equal(np.asarray(view), X[rows])
    np.testing.assert_array_equal(np.asarray(view[1:]), X[rows][1:])
    with monkeypatch.context() as patched:
        patched.setattr(Records, "read", lambda *_: pytest.fail("it was read"))
        view = data.x[rows]
        assert (view.shape, len(view), view.ndim, view.nbytes) == (X[rows].shape, len(X[rows]), 4, X[rows].nbytes)
        assert (view.min(), view.max()) == (X[rows].min(), X[rows].max())
        np.testing.assert_array_equal(view.outside(3, 250), ((X[rows] < 3) | (X[rows] > 250)).any((1, 2, 3)))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
            "example 0 is damaged",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:30]), "example 1 is damaged"),
        (lambda file: file.unlink(), r"cannot be read \(No such file"),
    ],
)
def test_fault_unreadable_records_are_named_and_never_trained_on(damage, words, data):
    damage(data.x.file)
    with pytest.raises(InputError, match=rf"x\.records: {words}"):
        data.x.read([0, 1, 2])


def test_records_are_whole_or_absent(tmp_path):
    file = tmp_path / "y.records"

    def failing():
        yield X[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.keep(file, failing())
    assert not list(tmp_path.glob("y.*"))
    records.keep(file, iter(X), {"label": LABEL.tolist()})
    cached, columns = records.kept(file)
    np.testing.assert_array_equal(np.asarray(cached), X)
    np.testing.assert_array_equal(columns["label"], LABEL)
    file.write_bytes(file.read_bytes()[:-1])
    assert records.kept(file) is None
    assert records.kept(tmp_path / "none.records") is None


def splits(dataset):
    return dataset.train, dataset.validation, dataset.test


def test_a_folder_of_images_is_the_same_data_from_disk(tmp_path, cache):
    copies = np.concatenate([X, X[:5]])  # copies stay together
    folder = f"images:{folder_of(tmp_path / 'images', copies)}"
    here, there = load(folder, images={"size": None}), load(folder, images={"size": None}, stream=True)
    assert isinstance(there.train.x, Records)
    assert isinstance(there.test.x, np.ndarray)
    for one, other in zip(splits(here), splits(there), strict=True):
        np.testing.assert_array_equal(one.x, np.asarray(other.x))
    assert (here.range, here.num_classes, here.shape) == (there.range, there.num_classes, there.shape)
    assert here.provenance == there.provenance
    assert len(list(cache.glob("*.records"))) == 1
    assert fingerprint(there) == fingerprint(load(folder, images={"size": None}, stream=True))
    np.testing.assert_array_equal(prepare(here, binarise="none").example.x, prepare(there, binarise="none").example.x)


def test_images_are_decoded_once(tmp_path, monkeypatch):
    from genjax_models.data import image

    folder = folder_of(tmp_path / "images", X)
    first = load(str(folder), stream=True)
    monkeypatch.setattr(image, "decode", lambda *_, **__: pytest.fail("decoded again"))
    second = load(str(folder), stream=True)
    np.testing.assert_array_equal(np.asarray(second.train.x), np.asarray(first.train.x))


def test_grey_becomes_colour_where_others_are(tmp_path):
    colour = np.concatenate([X[20], X[20] // 2, X[20] // 3], axis=2)
    folder = folder_of(tmp_path / "images", [*X[:20], colour, *X[21:40]])
    here, there = load(str(folder), images={"size": 4}), load(str(folder), images={"size": 4}, stream=True)
    assert there.shape == (4, 4, 3)
    np.testing.assert_array_equal(here.train.x, np.asarray(there.train.x))


def test_held_out_splits_keep_a_limited_part_in_memory(tmp_path, monkeypatch):
    from genjax_models.data import dataset

    monkeypatch.setattr(dataset, "_HELD_OUT_BYTES", 3 * X[0].nbytes)
    folder = str(folder_of(tmp_path / "images", X))
    whole, cut = load(folder, images={"size": None}), load(folder, images={"size": None}, stream=True)
    assert [len(split.x) for split in splits(cut)] == [40, 3, 3]
    assert "; validation is 3 of 5 examples, drawn by RandomState(0)" in cut.provenance
    assert {x.tobytes() for x in cut.test.x} < {x.tobytes() for x in whole.test.x}


def test_an_unreadable_image_is_named_before_training(tmp_path):
    folder = folder_of(tmp_path / "images", X)
    (folder / "017.png").write_bytes((folder / "017.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"017\.png: cannot be read as an image"):
        load(str(folder), stream=True)
    with pytest.warns(UserWarning, match="1 of 50 images cannot be read"):
        assert (
            sum(len(split.x) for split in splits(load(str(folder), images={"skip_unreadable": True}, stream=True)))
            == 49
        )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set of array_record in one split and two shards, made by TensorFlow Datasets; labels are the rows."""
    pytest.importorskip("tensorflow_datasets")
    from tests.data.test_tfds import prepared

    return prepared(tmp_path_factory.mktemp("tfds") / "data", "shards", x=X, sizes={"train": 40, "test": 10})


@pytest.mark.parametrize("split", ["", ":train"])
def test_prepared_array_records_are_the_same_data_from_disk(split, prepared, monkeypatch):
    name = f"tfds:{prepared}{split}"
    here, there = load(name), load(name, stream=True)
    monkeypatch.setattr("genjax_models.data.image.decode_as", lambda *_, **__: pytest.fail("decoded again"))
    again = load(name, stream=True)
    assert isinstance(there.train.x, Records)
    for one, *others in zip(splits(here), splits(there), splits(again), strict=True):
        for other in others:
            np.testing.assert_array_equal(one.x, np.asarray(other.x))
            np.testing.assert_array_equal(one.label, other.label)
    assert (here.num_classes, here.provenance) == (there.num_classes, there.provenance)


def test_fault_an_unreadable_shard_is_named(prepared, tmp_path):
    import shutil

    shutil.copytree(prepared, tmp_path / "copy")
    (shard,) = (tmp_path / "copy").glob("*train*array_record*")
    content = bytearray(shard.read_bytes())
    content[200:-200] = bytes(len(content) - 400)
    shard.write_bytes(content)
    with pytest.raises(InputError, match=rf"row \d+ cannot be read \(.*\), in .*{shard.name}"):
        load(f"tfds:{tmp_path / 'copy'}", stream=True)
    shard.unlink()
    with pytest.raises(InputError, match=shard.name):
        load(f"tfds:{tmp_path / 'copy'}", stream=True)


@pytest.mark.parametrize(
    ("name", "binarise", "words"),
    [
        (
            "mnist10k",
            "none",
            "data set 'mnist10k' is held in memory; accepted for a stream are folders of images, tfds:NAME, and im",
        ),
        ("{folder}/x.npz", "none", "is held in memory; accepted for a stream"),
        ("{folder}/images", "fixed", "`binarise` must be dynamic, threshold or none for streamed data, got fixed"),
    ],
)
def test_data_that_cannot_be_streamed_are_refused(name, binarise, words, tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    folder_of(tmp_path / "images", X)
    with pytest.raises(InputError, match=words):
        prepare(load(name.format(folder=tmp_path), stream=True), binarise=binarise)


def test_without_a_place_or_room_for_the_cache_the_error_says_so(tmp_path, monkeypatch):
    folder = str(folder_of(tmp_path / "images", X))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be kept there .* Set XDG_CACHE_HOME to another folder"):
        load(folder, stream=True)


def test_without_grain_the_error_says_what_to_install(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"pip install 'genjax_models\[stream\]'"):
        stream_of(data)


def test_data_in_memory_import_no_grain():
    code = "import sys, genjax_models as gx; gx.fit, gx.load('mnist10k'); print('grain' in sys.modules)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
