"""A process that goes silent is noticed, and the threads end with the watch."""

import threading
import time

import pytest

from genjax_models.runs import silence


class Store:
    """The coordinator's store of keys and values; it answers no more once it is down."""

    def __init__(self):
        self.values, self.down = {}, False

    def key_value_set(self, key, value, *, allow_overwrite):
        assert allow_overwrite
        if self.down:
            raise RuntimeError("UNAVAILABLE")
        self.values[key] = value

    def key_value_dir_get(self, folder):
        if self.down:
            raise RuntimeError("UNAVAILABLE")
        return list(self.values.items())


@pytest.mark.slow  # real seconds, which a busy machine must keep
@pytest.mark.parametrize("fault", ["a process is silent", "the store is down"])
def test_a_silent_process_is_noticed_and_an_audible_one_is_not(fault, monkeypatch):
    monkeypatch.setattr(silence, "SECONDS", 2)
    store, lost, threads = Store(), [], threading.active_count()
    watches = [silence.Watch(store, i, 3, lambda other, i=i: lost.append((i, other))) for i in range(3)]
    time.sleep(4)
    assert lost == []
    if fault == "the store is down":
        store.down = True
    else:
        watches[2].stop()
    until, noticing = time.monotonic() + 20, {0, 1, 2} if store.down else {0, 1}
    while {i for i, _ in lost} != noticing and time.monotonic() < until:
        time.sleep(0.02)
    for watch in watches:
        watch.stop()
    assert {i for i, _ in lost} == noticing
    if fault == "a process is silent":
        assert {other for _, other in lost} == {2}
    while threading.active_count() > threads and time.monotonic() < until + 10:
        time.sleep(0.02)
    assert threading.active_count() <= threads
