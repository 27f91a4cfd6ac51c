"""Features in space: turned as a camera sees them, and summed by their light."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.data.meshes import mesh_of, render
from genjax_models.data.transformations import Transformations, placement, transformed
from genjax_models.models.learning import apply_in_learning
from genjax_models.networks.turned import Camera, Pose, light, seen

CAMERA = Camera()
GRID = 17  # cells, of which one is at the origin


def direction(degrees):
    angle = np.deg2rad(degrees)
    return jnp.array([[np.sin(angle), np.cos(angle)]])


def pose_of(azimuth, elevation, n=1):
    angles = (jnp.repeat(direction(angle), n, axis=0) for angle in (azimuth, elevation))
    return Pose(*angles, jnp.tile(jnp.eye(2), (n, 1, 1)), jnp.zeros((n, 2)))


def centre_of(picture):
    rows, columns = np.indices(picture.shape)
    return np.array([(rows * picture).sum(), (columns * picture).sum()]) / picture.sum()


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (30, 20), (200, 30), (90, 0), (310, -25)])
def test_a_cell_is_seen_where_the_render_has_a_triangle(azimuth, elevation):
    x, y, z = 3, 5, -4  # cells from the origin: all signs and sizes differ
    cube = jnp.zeros((1, *[GRID] * 3, 1)).at[0, z + GRID // 2, x + GRID // 2, y + GRID // 2].set(1)
    rays = seen(cube, pose_of(azimuth, elevation), CAMERA, (64, 64))
    at, d = np.array([x, y, z]) * 2 * CAMERA.reach / GRID, 0.02
    across, along = ([[-d, -d / 2, 0], [d, -d / 2, 0], [0, d, 0]], [[0, -d / 2, -d], [0, -d / 2, d], [0, d, 0]])
    mesh = mesh_of("triangles", at + np.array([across, along]), None, np.ones((2, 3)))
    picture = render(mesh, azimuth, elevation, 64)[..., 3]
    np.testing.assert_allclose(centre_of(np.asarray(rays)[0, ..., 0].sum(-1)), centre_of(picture), atol=0.2)


def test_a_quarter_turn_moves_cells_without_a_change():
    cube = jax.random.normal(jax.random.key(0), (1, 6, 6, 6, 2))
    far = Camera(distance=1e6, field=0.5, reach=0.5)  # without perspective
    still, turned = (np.asarray(seen(cube, pose_of(a, 0), far, (6, 6)))[0] for a in (0, 90))
    np.testing.assert_allclose(still, np.asarray(cube)[0].transpose(2, 1, 0, 3)[::-1], atol=1e-4)  # y, x, z
    np.testing.assert_allclose(turned, still.swapaxes(1, 2)[:, ::-1], atol=1e-4)  # the right is the former back


def test_changes_of_the_screen_are_those_of_pictures():
    key, random = jax.random.split(jax.random.key(1))
    parameters = jax.random.uniform(key, (5, 8), minval=-1)
    most = Transformations(10.0, 0.1, 0.1, 0.1, 0, 0, 0)
    cube = jax.random.uniform(random, (5, 12, 12, 12, 4))
    still = pose_of(20, 30, 5)
    shape, shift = placement(parameters, most)
    unchanged = seen(cube, still, CAMERA, (12, 12))[..., 6, :]
    unchanged = unchanged.at[..., :3].multiply(unchanged[..., 3:])  # no colour exceeds its alpha
    changed = seen(cube, still._replace(shape=shape, shift=shift), CAMERA, (12, 12))[..., 6, 3]
    np.testing.assert_allclose(changed, transformed(unchanged, parameters, most)[..., 3], atol=1e-5)
    assert np.abs(changed - unchanged[..., 3]).max() > 0.1


def test_light_passes_what_the_cells_before_let_pass():
    density, features = np.array([0.7, 0.2, 1.3]), np.array([2.0, -3.0, 5.0])  # the last is the nearest
    rays = np.stack([np.log(np.expm1(density)) + 1, features], axis=-1)
    shares = (1 - np.exp(-density)) * np.exp(-np.array([1.5, 1.3, 0.0]))
    np.testing.assert_allclose(light(jnp.array(rays)), [shares @ features, shares.sum()], rtol=1e-5)
    np.testing.assert_allclose(shares.sum(), 1 - np.exp(-density.sum()))


def test_a_mean_of_generators_is_judged_as_one_and_learns_as_each():
    shape, key = (4, 8, 4), jax.random.key(2)
    joined = gx.SupervisedGenerator(shape, 3, 2, hidden=8, joint=8, channels=(4,), kernel=3)
    turned = gx.TurnedGenerator(
        shape, lambda f: pose_of(10, 20, len(f)), grid=4, features=2, hidden=8, channels=(4,), kernel=3
    )
    style, factors = jnp.eye(3), jax.random.normal(key, (3, 2))
    both = gx.MeanOfGenerators({"joined": joined, "turned": turned})
    picture, variables = both.init_with_output(key, style, factors)
    own = {name: {"params": variables["params"][f"generators_{name}"]} for name in ("joined", "turned")}
    each = [network.apply(own[name], style, factors) for name, network in (("joined", joined), ("turned", turned))]
    np.testing.assert_allclose(picture, (each[0] + each[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(apply_in_learning(both, variables, key, style, factors)[0], jnp.stack(each), atol=1e-6)
    batch = gx.Batch(jax.random.uniform(key, (3, *shape)), label=jnp.arange(3), factors=factors)
    losses = []
    for network, players in ((both, variables), (joined, own["joined"]), (turned, own["turned"])):
        objective = gx.supervised(gx.supervised_model(network, 3, 2))
        losses.append(objective.losses["generator"]({"generator": players}, key, batch, 0)[0])
    np.testing.assert_allclose(losses[0], (losses[1] + losses[2]) / 2, rtol=1e-5)
