"""Ancestors of particles, and pictures of sequences."""

import numpy as np
import pytest

from genjax_models.evaluation.sequential_bounds import HeldOutFiltering
from genjax_models.figures import sequence_plots

#             step 1 -> 2: 0 0 2,  2 -> 3: 1 1 2,  3 -> 4: 0 1 1
PARENTS = np.array([[0, 0, 2], [1, 1, 2], [0, 1, 1]])


def test_lineages_follow_the_parents_back_from_the_last_step():
    np.testing.assert_array_equal(
        sequence_plots.lineages(PARENTS).T, [[0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 1, 2]]
    )  # a row for each last particle: its ancestors at steps 1 to 4
    assert sequence_plots.common_ancestor(PARENTS) == 2
    assert sequence_plots.common_ancestor(np.broadcast_to(np.arange(3), (4, 3))) == 0
    assert sequence_plots.common_ancestor(np.zeros((0, 3), int)) == 0  # one step, no parents
    assert sequence_plots.common_ancestor(np.zeros((0, 1), int)) == 1


@pytest.fixture
def filtering():
    random, n, time, k = np.random.RandomState(0), 6, 4, 3
    of_steps = lambda *shape: random.uniform(1, 3, (n, time, *shape))
    ancestors = np.broadcast_to(np.concatenate([PARENTS, [[0, 1, 2]]]), (n, time, k))
    mask = np.arange(time) < np.array([4, 1, 4, 4, 4, 3])[:, None]
    evidence = -np.cumsum(of_steps(), axis=1)
    return HeldOutFiltering(
        evidence[:, -1], evidence, of_steps(), of_steps(), of_steps(k), ancestors, of_steps() > 2, mask
    )


def test_pictures_of_a_filter(filtering):
    tree = sequence_plots.ancestors(filtering)
    assert "one common ancestor up to step 2" in tree.caption
    shown = sequence_plots.by_step({"elbo": filtering, "iwae": filtering, "fivo": filtering})
    for picture in (tree, shown, sequence_plots.ancestors(filtering, 1)):
        assert picture.png.startswith(b"\x89PNG")


@pytest.mark.parametrize(("rows", "binary", "words"), [(True, True, "row of pixels"), (False, False, "orange 2")])
def test_pictures_of_sequences(rows, binary, words):
    sequences = [np.linspace(-2, 2, 3 * t).reshape(t, 3) for t in (1, 4)]
    look = sequence_plots.look_of(sequences, rows=rows, binary=binary)
    drawn = sequence_plots.draws({"data": sequences, "draws": sequences[:1]}, look)
    continued = sequence_plots.continuations(sequences, [sequences[::-1]] * 2, [1, 2], look)
    for picture in (drawn, continued):
        assert picture.png.startswith(b"\x89PNG")
        assert words in picture.caption
    assert list(drawn.files) == ["draws.png"]
    assert list(drawn._replace(midi=b"MThd").files) == ["draws.png", "draws.mid"]
