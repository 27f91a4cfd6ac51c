"""Plots show their arrays at the right places."""

import ast
import io
from pathlib import Path

import jax
import matplotlib.image
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.figures import curve_plots, latent_plots, pictures, plots


def mosaic(figure):
    (axes,) = figure.axes
    return np.asarray(axes.images[0].get_array())


def flat(values, height=2, width=3, channels=1):
    """Returns one image per value."""
    return np.broadcast_to(np.reshape(values, (-1, 1, 1, 1)), (len(values), height, width, channels)).astype(float)


def test_images_fill_the_rows_from_the_left_with_a_gap_between_them():
    pixels = mosaic(plots.image_grid(flat([0.1, 0.2, 0.3, 0.4, 0.5]), columns=3))
    assert pixels.shape[2] == 3
    for i, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.5]):
        top, left = (i // 3) * 3, (i % 3) * 4
        np.testing.assert_allclose(pixels[top : top + 2, left : left + 3], value, rtol=1e-6)
    assert np.all(pixels[:, 3] == 1)
    assert np.all(pixels[2] == 1)
    assert np.all(pixels[3:5, 8:11] == 1)  # there is no sixth image


def test_a_grid_has_labels_at_its_rows_and_columns_and_a_heading():
    options = {"titles": ("one", "two"), "above": ("a", "b", "c"), "heading": "All"}
    (axes,) = plots.image_grid(flat([0.1] * 6), columns=3, **options).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["one", "two"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_title(), list(axes.get_xticks()), list(axes.get_yticks())) == ("All", [2, 6, 10], [1.5, 4.5])


def test_images_that_are_white_at_their_edges_have_a_grey_line_between_them():
    pixels = mosaic(plots.image_grid(flat([1, 1, 1]), columns=2))
    assert np.all(pixels[:2, :3] == 1)
    assert 0.7 < pixels[:, 3].min() <= pixels[:, 3].max() < 0.9
    assert np.all(pixels[3:5, 4:7] == 1)  # there is no fourth image


def test_grids_stand_side_by_side_under_their_titles():
    figure = plots.image_grids([("one", flat([0.1] * 4)), ("two", flat([0.7] * 9))])
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    shapes = [np.asarray(axes.images[0].get_array()).shape for axes in figure.axes]
    assert shapes == [(6, 8, 3), (9, 12, 3)]


ROOT = Path(gx.__path__[0]).parent


@pytest.mark.parametrize("folder", ["genjax_models", "experiments"])
def test_every_grid_of_the_project_has_a_heading(folder):
    grids = 0
    for path in (ROOT / folder).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        calls = [
            node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "image_grid"
        ]
        headings = [word for call in calls for word in call.keywords if word.arg == "heading"]
        headings += [node for node in nodes if isinstance(node, ast.Constant) and node.value == "heading"]  # for `**`
        assert len(headings) >= len(calls), path
        grids += len(calls)
    assert grids


def test_an_image_keeps_its_orientation():
    image = np.linspace(0, 1, 6).reshape(1, 2, 3, 1)
    np.testing.assert_allclose(mosaic(plots.image_grid(image))[:2, :3, 0], image[0, :, :, 0], rtol=1e-6)


def test_the_range_decides_what_is_black_and_what_is_white():
    pixels = mosaic(plots.image_grid(flat([-1, 0, 1, 7]), columns=4, range=(-1, 1)))
    np.testing.assert_allclose(pixels[0, [0, 4, 8, 12], 0], [0, 0.5, 1, 1])


def test_colours_are_shown_as_they_are():
    pixel = np.array([1.0, 0.25, 0.0]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(mosaic(plots.image_grid(pixel))[0, 0], [1, 0.25, 0])


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channels_are_refused(channels):
    with pytest.raises(ValueError, match=f"1, 3 or 4 channels, got {channels}"):
        plots.image_grid(np.zeros((1, 2, 2, channels)))
    assert not pictures.drawable((2, 2, channels))


@pytest.mark.parametrize(("shape", "expected"), [((2, 2, 1), True), ((2, 2, 3), True), ((4,), False), ((2, 2), False)])
def test_images_with_one_or_three_channels_can_be_drawn(shape, expected):
    assert pictures.drawable(shape) is expected


def test_a_png_file_is_black_where_the_image_is_black():
    images = np.zeros((2, 8, 8, 1))
    images[1] = 1
    png = plots.png(plots.image_grid(images, columns=2))
    assert png.startswith(b"\x89PNG")
    pixels = matplotlib.image.imread(io.BytesIO(png))[..., :3].mean(axis=-1)
    left, right = np.array_split(pixels, 2, axis=1)
    assert np.mean(left == 0) > 0.4
    assert np.mean(right == 1) > 0.95


@pytest.mark.parametrize("count", [1, 3, 10, 12])
def test_reconstructions_stand_below_their_inputs(count):
    x, back = flat(np.linspace(0.1, 0.4, count)), flat(np.linspace(0.6, 0.9, count))
    pixels, pairs = mosaic(plots.reconstructions(x, back)), min(count, 10)
    np.testing.assert_allclose(pixels[0, : 4 * pairs : 4, 0], x[:pairs, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(pixels[3, : 4 * pairs : 4, 0], back[:pairs, 0, 0, 0], rtol=1e-6)


def test_the_manifold_grid_is_at_equal_steps_of_probability():
    quartile = 0.6744897501960817
    corners = [(-quartile, quartile), (quartile, quartile), (-quartile, -quartile), (quartile, -quartile)]
    np.testing.assert_allclose(plots.manifold_grid(2), corners, rtol=1e-6)
    np.testing.assert_array_equal(plots.manifold_grid(1), [[0, 0]])
    twenty = plots.manifold_grid(20)
    assert twenty.shape == (400, 2)
    assert twenty.dtype == np.float32
    assert twenty[0] == pytest.approx([-1.959963985, 1.959963985])  # the 2.5 and 97.5 percent points
    assert np.mean(np.abs(twenty[:, 0]) < 1.2815515655) == pytest.approx(0.8)


@pytest.mark.parametrize(("axis", "brightest"), [(0, "right"), (1, "top")])
def test_the_first_coordinate_of_the_manifold_runs_right_and_the_second_up(axis, brightest):
    grid = plots.manifold_grid(5)
    pixels = mosaic(plots.manifold(flat(jax.nn.sigmoid(grid[:, axis]), 2, 2)))[..., 0]
    assert pixels.shape == (10, 10)
    along = pixels[4] if axis == 0 else pixels[::-1, 4]
    assert np.all(np.diff(along[::2]) > 0), brightest
    across = pixels[:, 4] if axis == 0 else pixels[4]
    assert np.ptp(across) == 0


def row(step, split, **values):
    return {"step": step, "split": split, **values}


HISTORY = [
    row(0, "validation", bound=-90.0, bound_se=1.0),
    row(10, "train", **{"vae/bound": -50.0, "vae/loss": 50.0}),
    row(20, "train", **{"vae/bound": -20.0, "vae/loss": 20.0}),
    row(20, "validation", bound=-21.0, bound_se=2.0),
]


def test_curves_show_the_rows_of_the_history():
    (axes,) = curve_plots.curves(HISTORY, "bound", label="bound (nats)").axes
    train, held_out = axes.lines
    np.testing.assert_array_equal(train.get_xydata(), [(10, -50), (20, -20)])
    np.testing.assert_array_equal(held_out.get_xydata(), [(0, -90), (20, -21)])
    band = axes.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} >= {(20.0, -23.0), (20.0, -19.0), (0.0, -91.0), (0.0, -89.0)}
    assert axes.get_ylabel() == "bound (nats)"


def test_the_untrained_model_does_not_flatten_the_curves():
    (axes,) = curve_plots.curves(HISTORY, "bound", label="").axes
    low, high = axes.get_ylim()
    assert -60 < low < -50
    assert -20 < high < -10


def test_a_line_with_one_later_value_is_drawn_whole():
    (axes,) = curve_plots.curves([HISTORY[0], HISTORY[3]], "bound", label="").axes
    low, high = axes.get_ylim()
    assert low < -90 < -21 < high


def test_the_axis_of_a_constant_has_numbers_that_can_be_read():
    history = [row(step, "validation", share=0.9649) for step in (0, 100, 200)]
    (axes,) = curve_plots.curves(history, "share", label="").axes
    low, high = axes.get_ylim()
    assert 1e-3 < high - low < 0.1


def test_a_metric_that_training_does_not_compute_has_its_counterpart_in_training():
    history = [
        row(1, "train", **{"autoencoder/loss": 4.0}),
        row(2, "validation", squared_error=3.0, squared_error_se=1),
    ]
    (axes,) = curve_plots.curves(history, "squared_error", label="").axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 4]], [[2, 3]]]
    assert axes.get_legend_handles_labels()[1] == ["training (loss)", "validation"]


def test_the_losses_of_a_game_have_axes_of_their_own_and_a_line_each():
    history = [
        row(0, "validation", kernel_distance=9.0),
        row(5, "train", **{"discriminator/loss": 1.3, "generator/loss": 0.7, "generator/gradient_norm": 8.0}),
        row(10, "train", **{"discriminator/loss": 1.2, "generator/loss": 0.8, "generator/gradient_norm": 8.0}),
        row(10, "validation", kernel_distance=4.0),
    ]
    measured, losses = curve_plots.curves(history, "kernel_distance", label="kernel distance").axes
    assert [line.get_xydata().tolist() for line in measured.lines] == [[[0, 9], [10, 4]]]
    assert measured.get_ylabel() == "kernel distance"
    lines = {line.get_label(): line.get_xydata().tolist() for line in losses.lines}
    assert lines == {"discriminator": [[5, 1.3], [10, 1.2]], "generator": [[5, 0.7], [10, 0.8]]}


@pytest.mark.parametrize(
    "history",
    [
        [],
        HISTORY[:1],
        HISTORY[1:2],
        HISTORY[3:],
        [row(0, "validation")],
        [row(5, "validation", bound=-1.0, bound_se=float("nan"))],
        [*HISTORY, row(30, "validation", bound=float("nan"), bound_se=float("nan"))],
        [*HISTORY, row(30, "validation", bound=float("-inf"), bound_se=float("nan"))],
    ],
    ids=["empty", "untrained", "training only", "one", "no metric", "one example", "nan", "infinite"],
)
def test_any_history_can_be_drawn(history):
    assert plots.png(curve_plots.curves(history, "bound", label="bound")).startswith(b"\x89PNG")


@pytest.mark.parametrize("labels", [None, np.array([0, 1, 9, 1]), np.array([3, 3, 3, 3])], ids=["none", "some", "one"])
def test_the_latent_space_shows_each_code_and_each_class(labels):
    codes = np.array([[0.0, 1], [2, 3], [4, 5], [6, 7]])
    figure = latent_plots.latent_space(codes, labels, names=(2, 5))
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), codes)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z[2]", "z[5]")
    if labels is not None:
        named = [text.get_text() for text in axes.get_legend().get_texts()]
        assert named == [str(label) for label in np.unique(labels)]
    plots.png(figure)


def test_an_unused_dimension_does_not_make_the_picture_flat():
    codes = np.random.RandomState(0).normal(size=(50, 2)) * [1, 0.01]
    figure = latent_plots.latent_space(codes, np.arange(50) % 2)
    plots.png(figure)
    box = figure.axes[0].get_window_extent()
    assert 0.5 < box.height / box.width < 2


def test_the_two_most_active_dimensions_are_shown(monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        latent_plots, "latent_space", lambda codes, labels, names: drawn.update(codes=codes, names=names)
    )
    monkeypatch.setattr(plots, "png", lambda figure: b"")
    pictures.latent_space(np.arange(8.0).reshape(2, 4), None, np.array([0.1, 5.0, 0.2, 3.0]), "caption")
    assert list(drawn["names"]) == ["1", "3"]
    np.testing.assert_array_equal(drawn["codes"], [[1, 3], [5, 7]])


def test_kl_is_sorted_and_unused_dimensions_are_pale():
    (axes,) = latent_plots.kl_by_dimension(np.array([0.5, 2.0, 0.0]), np.array([True, True, False])).axes
    assert [bar.get_height() for bar in axes.patches] == [2, 0.5, 0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["z[1]", "z[0]", "z[2]"]
    used, also_used, unused = (bar.get_facecolor() for bar in axes.patches)
    assert used == also_used != unused


def test_learning_shows_a_row_per_step_from_the_same_noise(monkeypatch):
    made = []
    monkeypatch.setattr(plots, "png", lambda figure, **_: made.append(figure) or b"")
    stored = [(step, flat(np.full(12, step / 20))) for step in range(0, 21, 4)]
    pictures.learning(stored, "draws of x", (0, 1))
    (axes,) = made[0].axes
    titles = [label.get_text() for label in axes.get_yticklabels()]
    assert (len(titles), titles[0], titles[-1]) == (6, "step 0", "step 20")
    pixels = mosaic(made[0])
    assert pixels.shape[1] == 10 * 4
    assert (pixels[0, 0, 0], pixels[-2, 0, 0]) == (0, 1)
