"""A certificate is read again from its JSON, of this version and of the first."""

import dataclasses
import json
import math

import numpy as np
import pytest

from brenier import Certificate, audit_pairs
from brenier.certify import Core, Cycle, Share

_X = np.random.default_rng(0).normal(size=(400, 2))


@pytest.fixture(scope="module")
def certificate():
    return audit_pairs(_X, -_X, 1.0 - _X[::-1], budget=0.1)


def _same(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(_same, first, second))
    return first == second or (isinstance(first, float) and math.isnan(first))


def test_what_is_written_is_read(certificate):
    read = Certificate.from_json(certificate.to_json())
    assert _same(json.loads(read.to_json()), json.loads(certificate.to_json()))
    assert isinstance(read.defect.core, Core)
    assert isinstance(read.defect.core.wasted, Share)
    assert isinstance(read.defect.cycle, Cycle)
    assert read.defect.growth == certificate.defect.growth
    # What compiled is no number of the map, and not written.
    assert str(read) == str(dataclasses.replace(certificate, compiling=math.nan))
    np.testing.assert_array_equal(read.defect.cycle.points, certificate.defect.cycle.points)


def test_infinite_bounds_and_missing_numbers_survive(certificate):
    wide = dataclasses.replace(
        certificate.defect, upper=math.inf, relative_upper=math.inf, core=None, estimate=math.nan
    )
    read = Certificate.from_json(dataclasses.replace(certificate, defect=wide).to_json())
    assert read.defect.upper == math.inf
    assert read.defect.relative_upper == math.inf
    assert math.isnan(read.defect.estimate)
    assert read.defect.core is None


def test_the_first_version_is_read(certificate):
    """It had no core, no levels and no cycle, and shares of the variance."""
    old = json.loads(certificate.to_json())
    del old["version"]
    for name in ("core", "lowered", "digits_lost", "one_shift", "cycle", "bounds"):
        del old["defect"][name]
    old["defect"] |= {"variance_share_lower": 0.5, "variance_share_upper": 0.7}
    read = Certificate.from_json(json.dumps(old))
    assert read.defect.lower == certificate.defect.lower
    assert read.defect.core is None
    assert read.defect.bounds == ()
    assert "not asked" not in str(read).splitlines()[0]


def test_certificates_before_the_feature_test_are_read(certificate):
    old = json.loads(certificate.to_json())
    for name in [name for name in old["pushforward"] if name.startswith(("feature", "axis"))]:
        del old["pushforward"][name]
    read = Certificate.from_json(json.dumps(old))
    assert math.isnan(read.pushforward.feature_p_value)
    assert read.pushforward.p_value == certificate.pushforward.p_value
    assert read.pushforward.p_values().keys() == {"energy"}
    assert "feature" not in str(read).split("energy distance")[1]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"version": 99}', '{"cost": 1}'])
def test_what_is_no_certificate_is_named(text):
    with pytest.raises(ValueError, match="certificate"):
        Certificate.from_json(text)


def _changed(certificate, change):
    fields = json.loads(certificate.to_json())
    change(fields)
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: fields.pop("cost"), "certificate.cost: got nothing; wants this field"),
        (
            lambda fields: fields.update(cost=[1.0]),
            "certificate.cost: got list; wants the fields of a certificate",
        ),
        (lambda fields: fields["cost"].update(value=10**400), "got an integer beyond all floats"),
        (
            lambda fields: fields["how"].update(precision="high"),
            "certificate.how.precision: got 'high'; wants a number",
        ),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_named(certificate, change, message):
    with pytest.raises(ValueError, match=message):
        Certificate.from_json(_changed(certificate, change))


def test_a_page_wants_the_points_that_json_has_not(certificate):
    read = Certificate.from_json(certificate.to_json())
    with pytest.raises(ValueError, match="got one without points, as JSON has none"):
        read.to_html()
