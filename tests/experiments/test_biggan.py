"""BigGAN on data whose classes are cut from a known factor."""

from experiments import biggan
from genjax_models.data import rivers
from tests.experiments.support import built


def test_rivers_are_conditional_on_their_course(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rivers, "SIZES", (80, 10, 10))
    flags = "--data rivers:16 --channels 8 --discriminator-channels 8 --attention none --latent 4"
    config, _, system = built(biggan.EXPERIMENT, *flags.split())
    assert (config.classes, config.shape, system.model.classes) == (3, (16, 16, 3), 3)
