"""Plots of mixtures: ellipses of one standard deviation; curves of a likelihood that training does not compute."""

import numpy as np

from genjax_models.figures import curve_plots, mixture_plots, pictures

X = np.array([[1.0, 0.0], [0.0, -2.0]])


def moment(*covariances, weights=None, title=""):
    return mixture_plots.Components(title, np.zeros((len(covariances), 2)), np.array(covariances), weights)


def outlines(axes):
    """Returns the points on each drawn ellipse, and the colours of all."""
    (patches,) = [c for c in axes.collections if len(c.get_paths()) and c.get_facecolor().size == 0]
    return [path.vertices for path in patches.get_paths()], patches.get_edgecolor()


def test_an_ellipse_is_one_standard_deviation_from_the_mean_in_every_direction():
    covariance = np.array([[0.5, 0.3], [0.3, 0.4]])
    figure = mixture_plots.components(X, {"": [moment(0.09 * np.eye(2), covariance)]})
    (circle, ellipse), _ = outlines(figure.axes[0])
    on_curve = circle[:-1:3], ellipse[:-1:3]  # between them are the control points of Bezier curves
    np.testing.assert_allclose(
        np.linalg.norm(on_curve[0], axis=1), 0.3, rtol=1e-3
    )  # the radius is a standard deviation
    on_curve = on_curve[1]
    np.testing.assert_allclose(np.einsum("ni,ij,nj->n", on_curve, np.linalg.inv(covariance), on_curve), 1, rtol=1e-3)


def test_small_weights_are_pale():
    figure = mixture_plots.components(X, {"": [moment(np.eye(2), np.eye(2), weights=np.array([0.8, 0.2]))]})
    _, colours = outlines(figure.axes[0])
    np.testing.assert_allclose(colours[1, 3] / colours[0, 3], 0.5)


def test_rows_are_models_and_columns_are_steps():
    rows = {name: [moment(np.eye(2), title=f"{name} {step}") for step in (0, 5)] for name in ("one", "other")}
    axes = mixture_plots.components(X, rows).axes
    assert [a.get_title() for a in axes] == ["one 0", "one 5", "other 0", "other 5"]
    assert [a.get_ylabel() for a in axes] == ["one\nx[1]", "", "other\nx[1]", ""]
    assert [a.get_xlabel() for a in axes] == ["", "", "x[0]", "x[0]"]
    assert pictures.components(X, "one", rows["one"], "all").png.startswith(b"\x89PNG")


def test_a_likelihood_that_training_does_not_compute_stands_beside_the_bound():
    history = [
        {"step": step, "split": split, **values}
        for step in (0, 1, 2)
        for split, values in (("train", {"vae/bound": -2.0, "vae/loss": 2.0}), ("validation", {"log_likelihood": -1.0}))
    ]
    (axes,) = curve_plots.curves(history, "log_likelihood", label="nats").axes
    training, validation = axes.lines
    assert training.get_label() == "training (bound)"
    assert set(training.get_ydata()) == {-2.0}
    assert set(validation.get_ydata()) == {-1.0}
    assert axes.get_ylabel() == "nats"
