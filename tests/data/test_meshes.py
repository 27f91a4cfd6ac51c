"""A z-buffer shows what is in front, with the right colours and shape; OBJ files are read or refused in one line."""

import numpy as np
import pytest

from genjax_models.data.meshes import Mesh, centred, mesh_of, render
from genjax_models.data.obj_files import load_obj
from genjax_models.errors import InputError

SQUARE = "v -1 -1 {z}\nv 1 -1 {z}\nv 1 1 {z}\nv -1 1 {z}\n"
MTL = "newmtl red paint\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\nd 1.0\nnewmtl glass\nKd 0 1 0\nd 0.01\n"
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def written(folder, text, mtl=MTL):
    (folder / "m.obj").write_bytes(text.encode("latin-1"))
    if mtl is not None:
        (folder / "m.mtl").write_bytes(mtl.encode("latin-1"))
    return folder / "m.obj"


def two_squares(folder):
    """A red square at z = 1, in front of a blue one at z = -1."""
    text = f"# caf\xe9\nmtllib m.mtl\n{SQUARE.format(z=1)}{SQUARE.format(z=-1)}"
    return written(folder, text + "usemtl red paint\nf 1 2 3 4\nusemtl blue\nf -4 -3 -2 -1\n")


def test_the_nearest_triangle_is_seen_from_each_side(tmp_path):
    mesh = centred(load_obj(two_squares(tmp_path)))
    assert mesh.corners.shape == (4, 3, 3)
    front, back = render(mesh, 0, 0, 32), render(mesh, 180, 0, 32)
    lit = 0.45 + 0.25 + 0.35 * 0.6 / np.sqrt(0.3**2 + 0.8**2 + 0.6**2)  # a face that looks at the camera
    assert front[16, 16].tolist() == [round(255 * lit), 0, 0, 255]
    assert back[16, 16].tolist() == [0, 0, round(255 * lit), 255]
    assert front[0, 0].tolist() == [255, 255, 255, 0]


def test_a_square_has_its_size_on_the_screen(tmp_path):
    mesh = Mesh(*(part[:2] for part in load_obj(two_squares(tmp_path))))
    distance, field = 5.0, 2.0  # the plane z = 1 is seen at a distance of 4
    alpha = render(mesh, 0, 0, 64, distance=distance, field=field)[..., 3] / 255
    exact = (64 * distance / (2 * field) * 2 / (distance - 1)) ** 2
    assert alpha.sum() == pytest.approx(exact, rel=0.02)


def test_elevation_shows_the_top_and_azimuth_the_side_at_the_right():
    corners = lambda axis, end: CUBE[CUBE[:, axis] == end][[0, 1, 3, 2]]
    faces = [corners(1, 1), corners(0, 1), corners(2, 1)]  # top: red, right: green, front: blue
    triangles = np.concatenate([[face[[0, 1, 2]], face[[0, 2, 3]]] for face in faces])
    mesh = centred(mesh_of("cube", triangles, None, np.repeat(np.eye(3), 2, axis=0)))
    image = lambda azimuth, elevation: render(mesh, azimuth, elevation, 32)[..., :3].astype(int)
    shown = lambda x, channel: int(((x[..., channel] > 60) & (np.delete(x, channel, -1).max(-1) < 30)).sum())
    assert shown(image(0, 0), 0) == shown(image(0, 0), 1) == 0
    assert shown(image(0, 0), 2) > 100
    assert shown(image(0, 60), 0) > shown(image(0, 60), 2)  # from above
    turned = image(60, 0)
    assert shown(turned, 1) > shown(turned, 2)
    green, blue = (np.argwhere(turned[..., channel] > 60)[:, 1].mean() for channel in (1, 2))
    assert green > blue


def test_normals_are_mixed_in_space_and_not_on_the_screen():
    corners = np.array([[(-1, -1, 1.5), (1, -1, 1.5), (0, 1, -3)]], float)  # half way to the far corner at the origin
    normals = np.array([[(0, 0, 1), (0, 0, 1), (0, 1, 0)]], float)
    x = render(Mesh(corners, normals, np.full((1, 3), 0.5)), 0, 0, 33, 1, distance=3.0)
    root = np.sqrt(0.5)
    exact = 0.45 + 0.25 * root + 0.35 * root * (0.8 + 0.6) / np.sqrt(0.3**2 + 0.8**2 + 0.6**2)
    assert x[16, 16].tolist() == [round(127.5 * exact)] * 3 + [255]


def test_the_picture_of_a_fixed_mesh_stays():
    random = np.random.RandomState(0)
    mesh = centred(mesh_of("m", random.normal(size=(40, 3, 3)), None, random.uniform(size=(40, 3))))
    x = render(mesh, 40, 20, 32).astype(float)
    assert (x[x[..., 3] == 0] == (255, 255, 255, 0)).all()
    assert x.mean(axis=(0, 1)) == pytest.approx((234.25, 232.43, 234.80, 25.93), abs=0.3)


def test_a_rotation_turns_the_mesh_upright(tmp_path):
    quarter = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # z becomes y
    mesh = centred(load_obj(two_squares(tmp_path)), quarter)
    top = render(mesh, 0, 89, 32)
    assert top[16, 16, 0] > 200
    assert np.linalg.norm(np.ptp(mesh.corners.reshape(-1, 3), axis=0)) == pytest.approx(1)


def test_triangles_without_an_area_or_opacity_are_left_out(tmp_path):
    text = f"mtllib m.mtl\n{SQUARE.format(z=0)}usemtl blue\nf 1 2 3\nf 1 1 2\nf 1 3 3\nusemtl glass\nf 1 3 4\n"
    mesh = load_obj(written(tmp_path, text))
    assert len(mesh.corners) == 1
    assert np.isfinite(render(centred(mesh), 0, 0, 16)).all()


def test_materials_may_be_left_out(tmp_path):
    file = written(tmp_path, f"mtllib gone.mtl\n{SQUARE.format(z=0)}usemtl blue\nf 1 2 3\n", None)
    with pytest.raises(InputError, match=r"m\.obj: its materials are missing: .*gone\.mtl\. Add that file, or use mat"):
        load_obj(file)
    np.testing.assert_array_equal(load_obj(file, materials=False).colours, [[0.7] * 3])


def test_normals_and_textures_are_read(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((2, 2, 3), (51, 102, 204), np.uint8)).save(tmp_path / "t 1.png")
    text = f"mtllib m.mtl\n{SQUARE.format(z=0)}vn 0 1 0\nusemtl m\nf 1//1 2//1 3//1\nf 1 3 4\n"
    mesh = load_obj(written(tmp_path, text, "newmtl m\nmap_Kd t 1.png\n"))
    np.testing.assert_allclose(mesh.colours, [[0.2, 0.4, 0.8]] * 2)
    np.testing.assert_array_equal(mesh.normals[:, 0], [[0, 1, 0], [0, 0, 1]])
    gone = load_obj(written(tmp_path, text, "newmtl m\nKd 0.1 0.2 0.3\nmap_Kd gone.png\n"))
    np.testing.assert_allclose(gone.colours[0], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("text", "mtl", "message"),
    [
        (SQUARE.format(z=0), MTL, r"m\.obj: has no faces, which are lines that begin with 'f'"),
        (SQUARE.format(z=0) + "f 1 2 2\nf 1 1 1\n", MTL, r"needs triangles with an area, got none among 2"),
        (SQUARE.format(z=0) + "f 1 2 5\n", MTL, r"line 5 cannot be read: 'f 1 2 5' \(number 5 of 4\)"),
        (SQUARE.format(z=0) + "f 0 1 2\n", MTL, r"line 5 cannot be read: 'f 0 1 2' \(number 0 of 4\)"),
        ("v 1 2\nf 1 1 1\n", MTL, "line 1 cannot be read: 'v 1 2'"),
        (SQUARE.format(z="nan") + "f 1 2 3\n", MTL, r"m\.obj: corners must be finite, got nan"),
        (f"mtllib m.mtl\n{SQUARE.format(z=0)}usemtl glass\nf 1 2 3\n", MTL, "all of its 1 triangles are transparent"),
        (f"mtllib m.mtl\n{SQUARE.format(z=0)}f 1 2 3\n", "newmtl a\nKd 1 x 0\n", r"m\.mtl: line 2 cannot be read: 'Kd"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_line(text, mtl, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        load_obj(written(tmp_path, text, mtl))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.obj: no such OBJ file"):
        load_obj(tmp_path / "gone.obj")


@pytest.mark.parametrize(
    ("options", "message"), [({"size": 4}, "8 to 512 pixels, got 4"), ({"samples": 0}, "samples must be 1 to 8, got 0")]
)
def test_sizes_that_do_not_fit_are_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=f"render: .*{message}"):
        render(load_obj(two_squares(tmp_path)), 0, 0, **options)
