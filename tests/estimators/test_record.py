"""What a fit has tried is kept, and taken up again to the same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Checkpoint, MongeMap
from brenier.estimators.candidates import discard_record
from brenier.estimators.candidates._network import Network
from brenier.estimators.data import StandardData
from brenier.flows import SemiDual

_DRAWS = np.random.default_rng(0)
_X = _DRAWS.normal(size=(60, 2))
_ODD = {
    "bent": np.sinh(_DRAWS.normal(size=(60, 2))),
    "many zeros": np.where(_DRAWS.random((60, 2)) < 0.6, 0.0, _DRAWS.gamma(1.0, 1.0, (60, 2))),
    "single precision": np.sinh(_DRAWS.normal(size=(60, 2))).astype(np.float32),
}


class _Stop:
    """Interrupts at the n-th word of progress."""

    def __init__(self, after):
        self.left = after

    def __call__(self, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def _fit(y, **settings):
    return MongeMap(random_state=0, effort="quick", outliers="keep", **settings).fit(_X, y)


@pytest.mark.parametrize(
    "kind", ["bent", *(pytest.param(k, marks=pytest.mark.slow) for k in _ODD if k != "bent")]
)
def test_an_interrupted_fit_goes_on_to_the_same_map(kind, tmp_path):
    y, folder = _ODD[kind], tmp_path / "fit"
    whole = _fit(y)
    for after in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            _fit(y, checkpoint=folder, callback=_Stop(after))
        assert folder.is_dir()
    resumed = _fit(y, checkpoint=folder)
    np.testing.assert_array_equal(resumed.transform(_X), whole.transform(_X))
    tables = [[(row.name, row.dual) for row in own.candidates_] for own in (resumed, whole)]
    assert tables[0] == tables[1]
    # A map that was not saved is there again at once, whatever happened since.
    again = _fit(y, checkpoint=folder, callback=_Stop(10**9))
    np.testing.assert_array_equal(again.transform(_X), whole.transform(_X))


def test_what_was_tried_is_not_tried_again(tmp_path, monkeypatch):
    from brenier.estimators.candidates._choice import Chooser

    with pytest.raises(KeyboardInterrupt):
        _fit(_ODD["bent"], checkpoint=tmp_path / "fit", callback=_Stop(3))
    tried, attempt = [], Chooser._try

    def told(self, kind, effort):
        tried.append(kind.name)
        attempt(self, kind, effort)

    monkeypatch.setattr(Chooser, "_try", told)
    _fit(_ODD["bent"], checkpoint=tmp_path / "fit")
    assert tried == ["log-sum-exp", "ridges"]


def test_what_another_fit_left_is_refused_and_what_is_no_fit_stays(tmp_path):
    folder = tmp_path / "fit"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt):
        _fit(_ODD["bent"], checkpoint=folder, callback=_Stop(2))
    for other in ({"random_state": 1}, {"candidates": ["gaussian"]}, {"outliers": "drop"}):
        settings = {"random_state": 0, "effort": "quick", "outliers": "keep", **other}
        if "outliers" in other:
            y = np.concatenate([_ODD["bent"][:-1], [[1e6, 1e6]]])
        else:
            y = _ODD["bent"]
        with pytest.raises(ValueError, match="fit: got what a fit of other data, another seed"):
            MongeMap(checkpoint=folder, **settings).fit(_X, y)
    _fit(_ODD["bent"], checkpoint=folder)
    discard_record(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


@pytest.mark.slow
def test_a_network_goes_on_from_its_last_block(tmp_path):
    u, v = (jnp.asarray(points, np.float32) for points in (_X, np.tanh(_X)))
    data = StandardData(u[10:], v[10:], u[:10], v[:10])
    method = SemiDual(steps=40, batch=16)
    key = jax.random.key(0)
    network = Network.near_identity(method, 2, 100, widths=(8,), pieces=4, key=key)
    whole = network.fit(data, key=key, callback=_Stop(0))
    checkpoint = Checkpoint(tmp_path / "network", every=1)
    for after in (3, 9):
        network.fit(data, key=key, callback=_Stop(after), checkpoint=checkpoint)
    blocks = []
    resumed = network.fit(data, key=key, callback=blocks.append, checkpoint=checkpoint)
    assert 0 < len(blocks) < 15
    assert resumed.stats["best_metric"] == whole.stats["best_metric"]
    assert jax.tree.all(
        jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), resumed.potential, whole.potential)
    )


def test_another_effort_may_end_it_sooner(tmp_path):
    folder = tmp_path / "fit"
    with pytest.raises(KeyboardInterrupt):
        _fit(_ODD["bent"], checkpoint=folder, callback=_Stop(4))
    ended = MongeMap(random_state=0, effort=0, outliers="keep", checkpoint=folder)
    table = ended.fit(_X, _ODD["bent"]).candidates_
    whole = _fit(_ODD["bent"]).candidates_
    kept = ["gaussian", "separable", "entropic", "log-sum-exp"]
    assert [(row.name, row.dual) for row in table][:4] == [(r.name, r.dual) for r in whole][:4]
    assert [row.name for row in table][:4] == kept
    assert table.untried[:1] == ("ridges",)
