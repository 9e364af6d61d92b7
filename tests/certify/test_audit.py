"""Whole audits: the verdicts on maps whose answer is known, and what is refused."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from brenier import MongeMap, audit, audit_pairs
from brenier.certify._other_frameworks import check_order, evaluator
from brenier.maps import AffineMap, GradientMap
from brenier.measures import Empirical, Gaussian
from brenier.problems import separable

_KEY = jax.random.key(0)
_GAUSSIAN = Gaussian.standard(2)
_TURN = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
_SMALL = {"samples": 1000, "budget": 0.1}


def _turned(x):
    return x @ _TURN.T


@pytest.fixture(scope="module")
def rotation():
    return audit(_turned, _GAUSSIAN, _GAUSSIAN, key=_KEY, **_SMALL)


def test_a_rotation_is_not_optimal_and_reaches_its_target(rotation):
    assert rotation.verdict.optimality == "not optimal"
    assert rotation.verdict.target in ("reached", "undecided")
    assert rotation.defect.lower < 4.0 * (1.0 - np.cos(0.3)) < rotation.defect.upper
    assert rotation.cost.value == pytest.approx(
        4.0 * (1.0 - np.cos(0.3)), abs=4 * rotation.cost.stderr
    )
    # KL(N(0, I) | N(0, I)) = 0, up to differences of the Jacobian.
    assert rotation.pushforward.kl == pytest.approx(0.0, abs=1e-6)
    assert rotation.asymmetry.mean == pytest.approx(math.sin(0.3), abs=1e-6)
    assert rotation.ring.proven


@pytest.mark.parametrize(
    "map",
    [lambda x: x, lambda x: x + 3.0, lambda x: x @ np.array([[2.0, 0.5], [0.5, 1.0]])],
    ids=["identity", "translation", "symmetric"],
)
def test_optimal_maps(map):
    certificate = audit(map, _GAUSSIAN, key=_KEY, **_SMALL)
    assert certificate.verdict.optimality == "optimal"
    assert certificate.defect.lower == 0.0
    assert certificate.defect.upper <= 1e-3 * max(certificate.cost.value, 1e-9)
    assert certificate.pushforward is None
    assert certificate.verdict.target is None


def test_a_gradient_of_a_convex_function_has_no_defect_at_all():
    problem = separable(2)
    assert isinstance(problem.map, GradientMap)
    certificate = audit(
        problem.map, problem.source, problem.target, key=_KEY, truth=problem.map, **_SMALL
    )
    assert certificate.defect.upper == 0.0
    assert certificate.verdict.optimality == "optimal"
    assert certificate.truth.l2_uvp == 0.0
    assert certificate.truth.cosine == pytest.approx(1.0)


def test_a_missed_target_is_seen():
    certificate = audit(lambda x: x + 1.0, _GAUSSIAN, _GAUSSIAN, key=_KEY, **_SMALL)
    assert certificate.verdict.target == "not reached"
    assert certificate.pushforward.p_value == pytest.approx(0.001)
    assert certificate.pushforward.stein_p_value == pytest.approx(0.001)
    # KL(N(1, I) | N(0, I)) = d/2.
    kl = certificate.pushforward
    assert kl.kl == pytest.approx(1.0, abs=4 * kl.kl_stderr)


@pytest.mark.slow
def test_decreasing_on_the_line():
    certificate = audit(lambda x: -x, Gaussian.standard(1), key=_KEY, **_SMALL)
    assert certificate.defect.lower < 4.0 < certificate.defect.upper
    assert certificate.monotonicity.violated_share == 1.0
    assert certificate.ring.k == 2


def test_pairs_say_the_same_as_their_map(rotation):
    x = np.random.default_rng(0).normal(size=(4000, 2))
    pairs = audit_pairs(x, _turned(x), budget=0.1)
    assert pairs.asymmetry is None
    assert pairs.ring is None
    assert pairs.verdict.optimality == "not optimal"
    assert 0.05 < pairs.defect.lower < 4.0 * (1.0 - np.cos(0.3)) < pairs.defect.upper
    assert pairs.how["key"] == [0, 0]


def test_equal_arguments_give_equal_certificates_and_the_key_of_seed_0_is_the_default(rotation):
    again = audit(_turned, _GAUSSIAN, _GAUSSIAN, **_SMALL).to_dict()
    first = rotation.to_dict()
    for one in (again, first):
        del one["how"]["seconds"]
    assert json.dumps(again) == json.dumps(first)


def test_json_has_every_field_that_is_promised(rotation):
    fields = json.loads(rotation.to_json())
    promised = {
        "cost": {"value", "stderr"},
        "defect": {"lower", "upper", "level", "relative_lower", "relative_upper"},
        "asymmetry": {"mean", "max", "argmax"},
        "monotonicity": {"min", "violated_share", "points_moved"},
        "ring": {"k", "relative_saving"},
        "pushforward": {"energy_distance", "p_value", "sliced_w2"},
        "verdict": {"optimality", "target"},
    }
    for section, names in promised.items():
        assert names <= set(fields[section]), section
    # W₂² is 0 here, within its bounds: no share of it is finite.
    assert fields["defect"]["relative_upper"] is None
    assert fields["version"] == 2
    assert {"lower", "upper", "outside", "mass", "wasted"} <= set(fields["defect"]["core"])
    assert {"quantity", "side", "value", "level", "by", "assumes"} == set(
        fields["defect"]["bounds"][0]
    )
    assert fields["truth"] is None


def test_the_table_is_for_people(rotation):
    text = str(rotation)
    assert text.splitlines()[0].startswith("Is it optimal?")
    assert "not optimal" in text
    assert max(len(line) for line in text.splitlines()) < 250


def test_weighted_sources_are_drawn_by_their_weights():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    source = Empirical(points, np.array([1.0, 1.0, 1.0, 0.0]))
    certificate = audit(_turned, source, key=_KEY, **_SMALL)
    assert certificate.cost.value < 0.2  # the atom of weight 0 alone would cost 4.4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 1.5}, "level: got 1.5"),
        ({"tolerance": 0.0}, "tolerance: got 0.0"),
        ({"budget": -1.0}, "budget: got -1.0"),
        ({"samples": 10}, "samples: got 10"),
        ({"source": np.full((50, 2), np.nan)}, "source: got 100 NaN"),
        ({"source": np.zeros((5, 2))}, "source: got shape"),
        ({"target": np.zeros((50, 3))}, "target: got dimension 3"),
        ({"jacobian": lambda x: np.zeros((len(x), 2))}, "jacobian: got shape"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"map": _turned, "source": _GAUSSIAN, "target": None, "key": _KEY, **_SMALL}
    with pytest.raises(ValueError, match=message):
        audit(**{**arguments, **change})


def test_pairs_that_do_not_match():
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="tx: got 49 images of 50 points"):
        audit_pairs(x, x[1:])


def test_an_affine_map_of_ours_is_known_to_be_optimal():
    map = AffineMap(np.array([[2.0, 0.5], [0.5, 1.0]]), np.ones(2))
    assert audit(map, _GAUSSIAN, key=_KEY, **_SMALL).defect.potential == "the map's own"


def test_rows_of_one_group_count_as_one_draw():
    """40 draws, each 10 times: as independent rows they would prove more than they are."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    copies, labels = np.repeat(x, 10, axis=0), np.repeat(np.arange(60), 10)
    found = audit_pairs(copies, -copies, groups=labels, budget=0.1)
    alone = audit_pairs(x, -x, budget=0.1)
    assert found.defect.n == 60
    assert found.how["copies"] == 0
    assert found.defect.lower == pytest.approx(alone.defect.lower, rel=0.4)
    with pytest.warns(UserWarning, match="540 of 600 rows are exact copies"):
        naive = audit_pairs(copies, -copies, budget=0.1)
    assert naive.how["copies"] == 540
    assert naive.defect.lower > found.defect.lower
    of_map = audit(lambda x: -x, copies, groups=labels, budget=0.1)
    assert of_map.defect.n == 60


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(3), r"groups: got shape \(3,\)"),
        (np.arange(60) % 5, "groups: got 5 labels; wants at least 20"),
    ],
)
def test_groups_that_do_not_serve(groups, message):
    x = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(ValueError, match=message):
        audit_pairs(x, x, groups=groups)
    with pytest.raises(ValueError, match=message):
        audit(_turned, x, groups=groups)


def test_groups_are_of_points():
    with pytest.raises(ValueError, match="groups: got labels beside a measure"):
        audit(_turned, _GAUSSIAN, groups=np.arange(50))


def test_single_precision_stays_what_it_is_when_it_is_cast():
    """Codes of a float32 network, written as float64: their rounding proves nothing."""
    x = 1e4 + np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    wide = audit_pairs(x.astype(np.float64), (x + np.float32(0.1)).astype(np.float64), budget=0.1)
    assert wide.defect.cycle is None
    assert wide.how["precision"] == np.finfo(np.float32).eps
    # Whole numbers are exact in either.
    whole = np.random.default_rng(0).integers(-99, 99, size=(400, 2)).astype(np.float64)
    assert audit_pairs(whole, -whole, budget=0.1).how["precision"] == np.finfo(np.float64).eps


def test_a_pair_that_no_batch_holds_is_a_proof_too():
    """One row in 4000 is moved wrongly, past a few others: hardly any batch sees it."""
    x = np.random.default_rng(0).normal(size=(900, 1))
    order = np.argsort(x[:, 0])
    tx = 2.0 * x
    tx[order[[400, 403]]] = tx[order[[403, 400]]]
    found = audit_pairs(x, tx, budget=0.1)
    assert found.defect.cycle is not None
    assert len(found.defect.cycle.points) == 2
    assert "though not exactly" in found.verdict.optimality_reason
    assert found.monotonicity.violated_share > 0


def test_points_before_the_map_are_told_so():
    # Called by itself: the types of arguments are checked before, in tests alone.
    with pytest.raises(ValueError, match=r"map: got ndarray, and a function as the source; wants "):
        check_order(np.zeros((30, 2)), lambda x: x)
    check_order(lambda x: x, np.zeros((30, 2)))
    with pytest.raises((ValueError, TypeError)):
        audit(np.zeros((30, 2)), lambda x: x)


def test_numbers_of_a_certificate_are_plain():
    x = np.random.default_rng(0).normal(size=(60, 2))

    def scalars(value):
        if dataclasses.is_dataclass(value):
            value = [getattr(value, each.name) for each in dataclasses.fields(value)]
        if isinstance(value, tuple | list):
            return [found for each in value for found in scalars(each)]
        return [value]

    found = audit(lambda p: -p, x, x, budget=0.1)
    assert not [type(each) for each in scalars(found) if isinstance(each, np.generic)]


@pytest.mark.parametrize("kind", ["map", "pairs"])
def test_many_copies_of_rows_are_told_and_said(kind):
    x = np.repeat(np.random.default_rng(0).normal(size=(30, 2)), 40, axis=0)
    labels = np.repeat(np.arange(30), 40)

    def audited(rows, **options):
        if kind == "map":
            return audit(lambda p: p + 1.0, rows, budget=0.1, **options)
        return audit_pairs(rows, rows + 1.0, budget=0.1, **options)

    with pytest.warns(UserWarning, match=r"1,170 of 1,200 rows are exact copies of others"):
        found = audited(x)
    row = ("copies of rows", "1,170 of 1,200", "the levels take rows for independent")
    assert row in found.rows()
    # Labels say which belong together; a few copies are no one's fault.
    assert row[0] not in [each for each, *_ in audited(x, groups=labels).rows()]
    few = np.concatenate([np.random.default_rng(1).normal(size=(200, 2)), x[:2]])
    assert row[0] not in [each for each, *_ in audited(few).rows()]


def test_columns_of_a_data_frame_are_called_by_their_names():
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).normal(size=(200, 2))
    frame = pandas.DataFrame(x, columns=["age", "BMI"])
    found = audit_pairs(frame, x + np.array([0.0, 9.0]), x, budget=0.1)
    assert found.pushforward.axis == "column 'BMI'"
    assert "column 2 of 2" not in str(found)


def test_images_whose_squares_overflow_are_refused_as_rows_are():
    x = np.random.default_rng(0).normal(size=(300, 2))
    for size in (1e160, 1e200):
        with pytest.raises(ValueError, match=r"map: got values up to .* overflow"):
            audit(lambda p, size=size: size * _turned(p), x, **_SMALL)
        with pytest.raises(ValueError, match=r"tx: got entries up to .* overflow"):
            audit_pairs(x, size * _turned(x), budget=0.1)
    scaled = audit(lambda p: 1e140 * p, x, **_SMALL)
    assert scaled.verdict.optimality in ("optimal", "undecided")
    assert math.isfinite(scaled.cost.value)
    assert math.isfinite(scaled.cost.stderr)


def test_an_estimator_in_the_place_of_its_map_is_told_so():
    x = np.random.default_rng(0).normal(size=(60, 2))
    fitted = MongeMap(effort="quick", candidates=["gaussian"]).fit(x, x + 1.0)
    with pytest.raises(ValueError, match=r"map: got the estimator MongeMap; .* estimator\.map_"):
        evaluator("map", fitted)


@pytest.mark.parametrize("scale", [300.0, 1.0 / 300.0])
def test_a_scale_that_is_most_of_the_cost_is_said(scale):
    x = np.random.default_rng(0).normal(size=(2000, 2))
    found = audit(lambda p: scale * _turned(p), x, budget=0.1)
    assert found.verdict.optimality == "optimal"
    assert "times as far as the points" in found.verdict.optimality_reason
    constant = audit(lambda p: 0.0 * p + scale, x, budget=0.1).verdict
    assert constant.optimality == "optimal"
    assert "times as far" not in constant.optimality_reason


def test_an_asymmetry_is_said_where_bounds_decide_nothing():
    x = np.random.default_rng(0).normal(size=(500, 12))
    skew = 0.03 * (np.triu(np.ones((12, 12)), 1) - np.tril(np.ones((12, 12)), -1))
    turn = np.linalg.solve(np.eye(12) - skew, np.eye(12) + skew)
    found = audit(lambda p: (p @ turn.T) * np.linspace(1.0, 2.0, 12), x, **_SMALL)
    assert found.verdict.optimality in ("no bound", "undecided")
    assert "DT is not symmetric" in found.verdict.optimality_reason
