"""The pictures of a shipped model are those of its system."""

import pytest
from PIL import Image

from experiments.studies import draw_pretrained


@pytest.mark.slow
def test_the_pictures_of_a_shipped_model_are_written(tmp_path, capsys):
    assert draw_pretrained.main(["digits_vae", "--to", str(tmp_path / "new")]) == 0
    paths = capsys.readouterr().out.split()
    assert {"manifold.png", "latent_space.png"} <= {path.name for path in (tmp_path / "new").iterdir()}
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 100


def test_another_name_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        draw_pretrained.main(["digits", "--to", str(tmp_path / "new")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: name must be one of digits_vae, digits_gan, chairs, rivers_vae")
    assert not (tmp_path / "new").exists()
