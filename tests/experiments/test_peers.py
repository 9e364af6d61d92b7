"""Comparisons with other libraries, where these are not installed."""

import pytest

from brenier.cli import main
from brenier.experiments import _ott


@pytest.mark.parametrize("name", ["peers-grid-sinkhorn", "peers-sample-sinkhorn"])
def test_a_comparison_without_its_peer_is_told_in_one_line(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(_ott, "ott_version", lambda: None)
    assert main(["reproduce", name, "--out", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message == "brenier: ott-jax is not installed (the extra bench brings it).\n"
