"""A generator of pictures from features in space, which a camera sees from known angles.

Nguyen-Phuoc et al. (2019) turn learned features; Niemeyer and Geiger (2021) sum them along rays. A turn is here a
matrix product, with weights of linear interpolation that are functions of the angle.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.dcgan import smallest_level
from genjax_models.networks.mlp import MLP
from genjax_models.networks.shapes import as_rows
from genjax_models.networks.upsampling import Upsampled, Upsampling
from genjax_models.types import Array, Shape

_leaky_relu = jax.nn.leaky_relu


class Pose(NamedTuple):
    """How pictures show an object.

    A picture has at a place p what the picture without changes has at `shape` (p - `shift`). Places are pixels from
    the centre, downwards and to the right.

    Attributes:
      azimuth: sine and cosine, `[n, 2]`: the camera moves around the upright axis.
      elevation: sine and cosine, `[n, 2]`: the camera rises.
      shape: `[n, 2, 2]`.
      shift: shares of the height and of the width, `[n, 2]`.
    """

    azimuth: Array
    elevation: Array
    shape: Array
    shift: Array


class Camera(NamedTuple):
    """A camera that looks at the origin, as `data.meshes.render` has it.

    Attributes:
      distance: distance from the origin.
      field: half the width of the view, at the origin.
      reach: half the side of the cube of features around the origin.
    """

    distance: float = 2.0
    field: float = 0.62
    reach: float = 0.5


class TurnedGenerator(nn.Module):
    """Weights of styles, and factors -> pictures, by features in space that the camera sees from a known pose.

    A style is a cube of features, one of which is a density. The cube is turned by azimuth, then by elevation, and
    brought into the perspective of the camera. Each ray sums its features by the light that reaches them (`light`), and
    convolutions make the picture. Scales and shifts of the levels are functions of the factors.

    Attributes:
      shape: `(height, width, channels)` of one picture. With n channels given, both sides are multiples of 2^n.
      pose: factors `[n, factors]` -> `Pose`.
      grid: cells along each axis of the cube, and along each ray.
      features: numbers per cell.
      hidden: width of the two layers of the style, and of the layer of the factors.
      channels: channels per level, from the smallest picture to the largest, without the output.
      kernel: height and width of the kernels.
      upsampling: how a level doubles; see `networks.upsampling`.
      camera: place and view of the camera.
    """

    shape: Shape
    pose: Callable[[Array], Pose]
    grid: int = 16
    features: int = 16
    hidden: int = 64
    channels: Sequence[int] = (64, 32)
    kernel: int = 5
    upsampling: Upsampling = "nearest"
    camera: Camera = Camera()

    @nn.compact
    def __call__(self, style: Array, factors: Array) -> Array:
        """Maps style `[..., styles]` and factors `[..., factors]` to pictures `[..., *shape]`.

        A style is a sum of styles by weights: one-hot for a style as it is, a convex sum for a mixture of styles.
        """
        lead, style, factors = style.shape[:-1], as_rows(style), as_rows(factors)
        h = MLP((self.hidden, self.hidden), _leaky_relu, name="style")(style)
        cube = nn.Dense(self.grid**3 * self.features, name="cube")(h)
        cube = cube.reshape(-1, *[self.grid] * 3, self.features)  # [n, z, x, y, features]
        view = MLP((self.hidden,), _leaky_relu, name="view")(factors)

        def scaled(x: Array, name: str) -> Array:
            scale, shift = jnp.split(nn.Dense(2 * x.shape[-1], name=f"scale_{name}")(view)[:, None, None], 2, axis=-1)
            return _leaky_relu(x * (1 + scale) + shift)

        height, width = smallest_level(self.shape, len(self.channels))
        h = light(seen(cube, self.pose(factors), self.camera, (height, width)))
        h = scaled(nn.Dense(self.channels[0], name="rays")(h), "rays")
        h = _leaky_relu(Convolution(self.channels[0], (3, 3), name="smallest")(h))
        for level, channels in enumerate(self.channels[1:]):
            h = scaled(Upsampled(channels, self.kernel, self.upsampling, name=f"level_{level}")(h), f"level_{level}")
        return Upsampled(self.shape[2], self.kernel, self.upsampling, name="picture")(h).reshape(*lead, *self.shape)


def seen(cube: Array, pose: Pose, camera: Camera, size: tuple[int, int]) -> Array:
    """Returns features along the rays of the camera, `[n, *size, grid, features]`; the last are the nearest.

    Args:
      cube: features `[n, z, x, y, features]`, as many along each axis: z to the viewer of azimuth 0, x to the right
        and y upwards.
      pose: of n pictures.
      camera: place and view of the camera.
      size: height and width of the picture, in rays.
    """
    grid = cube.shape[1]
    cell = 2 * camera.reach / grid
    depth = _offsets(grid)[:, None]
    nearness = 1 - depth * cell / camera.distance  # width of the view, over that at the origin
    row, column = (_offsets(side)[None] * 2 * camera.field / (side * cell) * nearness for side in size)
    x, z = _turned(pose.azimuth, depth.T, depth)
    cube = _read(cube, z, x).swapaxes(2, 3)  # [n, z, y, x, features]
    y, z = _turned(pose.elevation, -row, depth)
    cube = _read(cube, z, y)  # [n, depth, row, x, features]
    rays = jnp.einsum("dux,ndvxf->nvudf", _linear(column, grid), cube)
    places = jnp.stack(jnp.meshgrid(*map(_offsets, size), indexing="ij"))
    places = places[None] - (pose.shift * jnp.array([size]))[..., None, None]
    row, column = jnp.einsum("nij,njvu->invu", pose.shape, places)
    return _read(rays, row, column)


def light(rays: Array) -> Array:
    """Returns the features that the camera sees of rays `[..., depth, features]`: `[..., features]`, sums by light.

    The density of a cell is softplus(first feature - 1). A cell stops a share 1 - exp(-density) of the light that its
    nearer cells let pass; the nearest cell is the last. The last number returned is the light that all cells stop.
    """
    density = jax.nn.softplus(rays[..., :1] - 1)
    before = jnp.cumsum(density[..., ::-1, :], axis=-2)[..., ::-1, :] - density
    share = jnp.exp(-before) - jnp.exp(-before - density)
    return jnp.concatenate([share * rays[..., 1:], share], axis=-1).sum(axis=-2)


def _turned(angle: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Returns places of a plane `[...]` turned by sines and cosines `[n, 2]`: both coordinates, `[n, ...]`."""
    sin, cos = (a[:, None, None] for a in angle.T)
    first, second = first[None], second[None]
    return cos * first + sin * second, cos * second - sin * first


def _read(x: Array, first: Array, second: Array) -> Array:
    """Returns `[n, i, j, ...]`: x `[n, a, b, ...]` at places `[n, i, j]` along a and along b.

    Places are cells from the centre. Those between cells are bilinear; outside of x is 0.
    """
    n, a, b, *rest = x.shape
    weights = _linear(first, a)[..., :, None] * _linear(second, b)[..., None, :]  # [n, i, j, a, b]
    return (weights.reshape(n, -1, a * b) @ x.reshape(n, a * b, -1)).reshape(n, *weights.shape[1:3], *rest)


def _linear(place: Array, cells: int) -> Array:
    """Returns the weights `[..., cells]` of linear interpolation at places `[...]`."""
    return jnp.maximum(0, 1 - jnp.abs(place[..., None] - jnp.expand_dims(_offsets(cells), range(place.ndim))))


def _offsets(cells: int) -> Array:
    """Returns the places of cells, from the centre."""
    return jnp.arange(cells) - (cells - 1) / 2
