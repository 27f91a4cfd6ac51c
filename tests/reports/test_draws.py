"""Data that are no images have a picture of draws, unless their system draws one."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.figures.pictures import Picture
from genjax_models.reports import draws
from genjax_models.reports.draws import draws_of_other_data
from genjax_models.types import Batch


def drawn(shape, monkeypatch, *, classes=None, shown=()):
    """The pictures, and what they were drawn from."""
    asked = []
    picture = lambda *arguments: asked.append(arguments) or Picture("draws", "", "", b"")
    monkeypatch.setattr(draws, "draws_of_vectors", picture)
    monkeypatch.setattr(draws.sequence_plots, "draws", picture)

    def sample(players, key, n, *, label=None):
        lead = jnp.zeros(n) if label is None else label
        return jnp.broadcast_to(lead.reshape(n, *[1] * len(shape)), (n, *shape)) + players

    test = Batch(np.ones((6, *shape), np.float32), np.arange(6))
    system = SimpleNamespace(objective=SimpleNamespace(sample=sample))
    config = SimpleNamespace(data=SimpleNamespace(classes=classes))
    data = SimpleNamespace(test=test)
    return draws_of_other_data(system, config, jnp.float32(0.5), data, shown), asked


def test_vectors_are_drawn_beside_as_many_test_examples(monkeypatch):
    pictures, ((x, made),) = drawn((3,), monkeypatch)
    assert [picture.name for picture in pictures] == ["draws"]
    np.testing.assert_array_equal(x, np.ones((6, 3)))
    np.testing.assert_array_equal(made, np.full((6, 3), 0.5))


def test_a_conditional_model_draws_the_classes_of_the_test_examples(monkeypatch):
    _, ((_, made),) = drawn((3,), monkeypatch, classes=6)
    np.testing.assert_array_equal(made[:, 0], np.arange(6) + 0.5)


def test_sequences_are_drawn_as_rows(monkeypatch):
    _, ((rows, look),) = drawn((5, 2), monkeypatch)
    assert {name: np.shape(row) for name, row in rows.items()} == {"data": (4, 5, 2), "draws": (4, 5, 2)}
    assert (look.rows, look.binary, look.largest) == (False, True, 1.0)


@pytest.mark.parametrize("name", ["samples", "draws"])
def test_images_and_systems_that_draw_get_no_further_picture(name, monkeypatch):
    assert drawn((2, 2, 1), monkeypatch) == ([], [])
    assert drawn((2,), monkeypatch, shown=[Picture(name, "", "", b"")]) == ([], [])
