"""Members train together or in turn: a measurement decides, and a run keeps its way."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.runs import planning, resuming, ways
from genjax_models.runs.command_line import Options

STATE = gx.TrainState(jnp.zeros(2, jnp.int32), jax.random.split(jax.random.key(0)), {}, {}, {})


class Feed:
    """A feed whose loop takes `compiling` seconds once, and `seconds` per step, on the clock of `programs`."""

    def __init__(self, programs, compiling, seconds):
        self.programs, self.compiling, self.seconds = programs, compiling, seconds
        self.pace = SimpleNamespace(longest=100)

    def place(self, state):
        self.placed = True

    def __call__(self, step):
        assert self.placed
        return None, 1

    def run(self, state, batches, count):
        if self.seconds is None:
            raise MemoryError
        self.programs.now += self.compiling + count * self.seconds
        self.compiling = 0
        return state, {}


class Programs:
    """Both ways on a clock of their own; they take 2 seconds to compile."""

    def __init__(self, in_turn, together):
        self.seconds, self.built, self.now = {False: in_turn, True: together}, [], 0.0

    def __call__(self, together):
        self.built.append(together)
        return ways.Program(Feed(self, 2, self.seconds[together]), lambda: STATE)


@pytest.fixture
def faster(monkeypatch):
    def call(programs, steps):
        monkeypatch.setattr(ways, "time", SimpleNamespace(monotonic=lambda: programs.now))
        way, program = ways.faster(programs, steps)
        assert program.feed.seconds == programs.seconds[way.together]
        return way

    return call


@pytest.mark.parametrize(
    ("in_turn", "together", "chosen"), [(0.015, 0.01, True), (0.0105, 0.01, False), (0.01, 0.015, False)]
)
def test_members_train_together_only_if_that_is_faster_by_a_tenth(in_turn, together, chosen, faster):
    way = faster(Programs(in_turn, together), 100_000)
    assert way.together == chosen
    figures = f"a step of all takes {1e3 * in_turn:.3g} ms in turn, {1e3 * together:.3g} ms together"
    assert str(way) == f"{'together' if chosen else 'in turn'}: {figures}"


def test_a_short_run_is_not_measured(faster):
    programs = Programs(0.015, 0.01)
    assert str(faster(programs, 1_000)).startswith("in turn: the steps take about 15 s, too short to measure")
    assert programs.built == [False]
    assert programs.now < 3


def test_members_that_do_not_fit_into_memory_together_train_in_turn(faster):
    assert str(faster(Programs(0.015, None), 100_000)) == "in turn: together they do not fit into memory"


def test_the_flag_counts_before_the_way_that_a_run_has_stored(tmp_path):
    stored = {"format": 2, "experiment": "e", "config": {}, "members": {"seed_0": {"seed": 0}}}
    (tmp_path / "members.json").write_text(json.dumps(stored))
    assert planning.way_of(Options(resume=tmp_path), None) is None  # chosen later, or begun by an older version
    for together in (True, False):
        way = ways.Way(together, "a reason")
        (tmp_path / "members.json").write_text(json.dumps({**stored, "way": way._asdict()}))
        assert planning.way_of(Options(resume=tmp_path), None) == way
    assert planning.way_of(Options(resume=tmp_path, members="together"), None) == (True, "--members together")
    assert planning.way_of(Options(seeds="0:2", members="in-turn"), None) == (False, "--members in-turn")
    assert planning.way_of(Options(seeds="0:2"), None) is None


@pytest.mark.parametrize("way", ["in turn", [], {}, {"together": 1, "reason": ""}, {"together": True}])
def test_a_damaged_way_is_refused_in_one_line(way, tmp_path):
    (tmp_path / "members.json").write_text(json.dumps({"format": 2, "experiment": "e", "config": {}, "way": way}))
    with pytest.raises(InputError, match=r"members.json: is damaged, `way` must have `together` and `reason`, got"):
        resuming.stored_way(tmp_path)
