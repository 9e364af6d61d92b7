"""What a fit says of its choice."""

import math

import pytest

from brenier.estimators.candidates import KINDS, CandidateRow, CandidateTable

SENTENCES = {
    ("gaussian",): ({}, "affine: no other kind was tried"),
    ("separable", "columns"): (
        {"axes": "columns", "blocks": 25},
        "one monotone map for every column",
    ),
    ("separable", "standard"): (
        {"axes": "standard", "blocks": 6},
        "one monotone map for every coordinate after the affine map",
    ),
    ("entropic",): ({"epsilon": 0.08, "share": 0.2}, "entropic at ε = 0.08, 20% affine"),
    ("log-sum-exp",): ({"pieces": 8}, "a soft maximum of 8 affine pieces"),
    ("ridges",): ({"pieces": 16}, "a sum of 16 soft hinges"),
    ("network",): ({"steps": 1000}, "an input-convex network"),
    ("network", "own"): ({"method": "SemiDual"}, "an input-convex network by SemiDual"),
    ("combination",): (
        {"entropic": 0.25, "ridges": 0.75},
        "a combination, 75% ridges + 25% entropic",
    ),
}


def _row(name, settings, *, dual=2.0, stderr=0.0, chosen=True, error=""):
    return CandidateRow(name, settings, dual, stderr, 0.1, chosen, error)


@pytest.mark.parametrize("case", SENTENCES, ids=" ".join)
def test_every_kind_has_a_sentence(case):
    settings, sentence = SENTENCES[case]
    assert CandidateTable((_row(case[0], settings),)).sentence == sentence


def test_no_kind_is_forgotten():
    assert {case[0] for case in SENTENCES} == {*KINDS, "combination"}


def test_an_affine_map_says_why():
    other = _row("ridges", {"pieces": 4}, dual=2.1, stderr=0.01, chosen=False)
    compared = CandidateTable((_row("gaussian", {}), other))
    assert compared.sentence == "affine: nothing that bends was better on held-out points"
    few = CandidateTable((_row("gaussian", {}, dual=math.nan, stderr=math.nan),))
    assert few.sentence == "affine: too few points to hold any out"


def test_failures_and_what_was_not_measured_are_printed_and_are_plain_json():
    failed = _row("entropic", {}, dual=math.nan, stderr=math.nan, chosen=False, error="Bad " * 40)
    table = CandidateTable((_row("gaussian", {}), failed))
    head, first, second = str(table).split("\n")
    assert head.split() == ["candidate", "held-out", "J", "above", "chosen", "seconds", "settings"]
    assert first.split() == ["gaussian", "*", "2.0000", "0.1"]
    assert second.split()[:4] == ["entropic", "0.1", "failed:", "Bad"]
    assert max(map(len, (first, second))) < 110
    assert table.to_list()[1]["dual"] is None
    assert repr(table) == str(table)
