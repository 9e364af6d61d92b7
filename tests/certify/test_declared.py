"""What a caller declares: what it is good for where true, and withdrawn where the rows deny it."""

import jax
import numpy as np
import pytest

from brenier import audit, audit_pairs
from brenier.certify import Certificate, Elliptical, Exchangeable, SignChanges
from brenier.certify._declared import Declared
from brenier.maps import AffineMap
from brenier.measures import Empirical, Gaussian, GaussianMixture, StandardNormal

_TURN = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
_TURNED = 4.0 * (1.0 - np.cos(0.3))
_BUDGET = 0.2
# What the bound (6.12) says of itself.
_BY_SYMMETRY = "by a symmetry gains"


def _normal(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def _turn(x):
    return np.concatenate([x[:, :2] @ _TURN.T, x[:, 2:]], axis=1)


def _student(n, seed):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 5)) / np.sqrt(random.chisquare(5, size=(n, 1)) / 5.0)


# (rows, map, D, what is declared): each where pairs alone show little.
TRUE = {
    "a law": (_normal, _turn, _TURNED, {"law": Gaussian.standard(2)}),
    "the standard normal": (_normal, _turn, _TURNED, {"law": StandardNormal(2)}),
    "spherical": (_student, _turn, _TURNED * 5 / 3, {"symmetry": "spherical"}),
    "elliptical": (
        lambda n, seed: 3.0 + 2.0 * _student(n, seed),
        _turn,
        4.0 * _TURNED * 5 / 3,
        {"symmetry": Elliptical(np.full(5, 3.0), np.eye(5))},
    ),
    "exchangeable": (
        lambda n, seed: np.random.default_rng(seed).exponential(size=(n, 10)),
        lambda x: np.concatenate([x[:, [1, 2, 0]], x[:, 3:]], axis=1),
        6.0,
        {"symmetry": "exchangeable"},
    ),
    "signs": (
        lambda n, seed: np.random.default_rng(seed).laplace(size=(n, 10)),
        lambda x: np.concatenate([-x[:, :1], x[:, 1:]], axis=1),
        8.0,
        {"symmetry": "signs"},
    ),
}


@pytest.mark.daily("a law", "exchangeable", "signs")
@pytest.mark.parametrize("name", TRUE)
def test_a_true_declaration_makes_the_lower_bound_close_and_never_wrong(name):
    draw, map, defect, declared = TRUE[name]
    shares = []
    for seed in range(2):
        x = draw(600, seed=seed)
        found = audit(map, x, key=jax.random.key(seed), budget=_BUDGET, **declared)
        assert found.defect.withdrawn == ()
        assert found.verdict.optimality == "not optimal"
        first = found.defect.bounds[0]
        assert first.level.startswith("declared: ")
        assert first.assumes.startswith("independent rows; the source")
        shares.append(found.defect.lower / defect)
    assert max(shares) < 1.0
    assert np.median(shares) > 0.55


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUE)
def test_of_pairs_alone_it_gives_an_asymptotic_bound_and_no_verdict(name):
    draw, map, defect, declared = TRUE[name]
    x = draw(2000, seed=1)
    found = audit_pairs(x, map(x), budget=_BUDGET, **declared)
    own = [b for b in found.defect.bounds if _BY_SYMMETRY in b.by]
    assert len(own) == 1
    assert own[0].level == "asymptotic"
    assert 0.6 * defect < own[0].value < 1.02 * defect
    assert found.defect.bounds[0].level == "exact"


# (rows, what is declared of them, falsely).
FALSE = {
    "a law": (lambda r: r.normal(size=(800, 2)) * 1.3, {"law": Gaussian.standard(2)}),
    "a law of other tails": (lambda r: r.standard_t(2, size=(800, 2)), {"law": StandardNormal(2)}),
    "a mixture": (
        lambda r: r.normal(size=(800, 2)) + 1.0,
        {"law": GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])},
    ),
    "spherical": (lambda r: r.normal(size=(800, 2)) + 0.5, {"symmetry": "spherical"}),
    "elliptical": (
        lambda r: r.exponential(size=(800, 2)) - 1.0,
        {"symmetry": Elliptical(np.zeros(2), np.eye(2))},
    ),
    "exchangeable": (
        lambda r: r.normal(size=(800, 3)) * [1.0, 2.0, 1.0],
        {"symmetry": Exchangeable()},
    ),
    "signs": (lambda r: r.exponential(size=(800, 2)), {"symmetry": SignChanges(np.ones(2))}),
    "a box": (lambda r: r.normal(size=(800, 2)), {"box": (0.0, 1.0)}),
}


@pytest.mark.daily("a law", "exchangeable", "a box")
@pytest.mark.parametrize("name", FALSE)
@pytest.mark.parametrize("pairs", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_the_rows_contradict_is_withdrawn_and_said(name, pairs):
    draw, declared = FALSE[name]
    x = draw(np.random.default_rng(0))
    found = (
        audit_pairs(x, 0.5 * x, budget=_BUDGET, **declared)
        if pairs
        else audit(lambda p: 0.5 * p, x, budget=_BUDGET, **declared)
    )
    assert len(found.defect.withdrawn) == 1
    assert found.defect.declared == ()
    assert all(bound.level in ("exact", "asymptotic") for bound in found.defect.bounds)
    assert not any(_BY_SYMMETRY in bound.by for bound in found.defect.bounds)
    assert found.defect.core is not None
    text, page = str(found), found.to_html()
    assert "the rows contradict it" in text
    assert "contradicted by the rows" in page
    assert found.defect.withdrawn[0] in [answer for _, answer, _ in found.rows()]


def test_the_verdict_on_a_gradient_says_what_was_withdrawn_too():
    x = np.random.default_rng(0).normal(size=(400, 2)) + 5.0
    found = audit(AffineMap(2.0 * np.eye(2), np.ones(2)), x, law=StandardNormal(2), budget=_BUDGET)
    assert found.verdict.optimality == "optimal"
    assert "withdrawn, as the rows contradict it: law" in found.verdict.optimality_reason
    assert "declared and withdrawn" in str(found)


def test_a_symmetry_that_a_measure_has_not_is_withdrawn_too():
    away = Gaussian(np.full(2, 5.0), np.eye(2))
    found = audit(_turn, away, symmetry="spherical", samples=600, budget=_BUDGET)
    assert [said.partition(":")[0] for said in found.defect.withdrawn] == ["symmetry, elliptical"]
    assert found.defect.declared == ("the source is Gaussian",)
    assert found.defect.lower < _TURNED


def test_true_declarations_are_hardly_ever_withdrawn():
    said = 0
    for seed in range(20):
        x = _normal(200, 3, seed)
        for options in (
            {"symmetry": "spherical"},
            {"symmetry": "signs"},
            {"law": StandardNormal(3)},
        ):
            options = {"law": None, "symmetry": None, "box": None, "kurtosis": None, **options}
            declared = Declared.checked(3, **options)
            said += len(
                declared.upheld(x, x, jax.random.key(seed), drawn=False, precision=1e-16).withdrawn
            )
    assert said <= 2  # 1 in 1000 of 60


def test_a_box_bounds_the_whole_map():
    """D = 1/3 of x to 1 − x on [0, 1]; and a rare set is covered though no row fell into it."""
    for seed in range(2):
        x = np.random.default_rng(seed).random((400, 1))
        found = audit_pairs(x, 1.0 - x, key=jax.random.key(seed), budget=_BUDGET, box=(0, 1))
        d = found.defect
        assert d.core is None
        assert d.lower < 1 / 3 < d.upper < 0.6
        assert (d.whole.outside, d.whole.mass) == (0.0, 1.0)
        assert d.beside.outside > 0.0
        assert any(b.level.startswith("declared: all entries") for b in d.bounds)
    mass = 0.3 / 300
    for seed in range(4):
        x = np.random.default_rng(seed).random((300, 1))
        rare = audit_pairs(
            x,
            np.where(x > 1.0 - mass, x - 0.8, x),
            key=jax.random.key(seed),
            budget=0.1,
            box=(0, 1),
        )
        grid = (np.arange(400_000) + 0.5) / 400_000
        y = np.where(grid > 1.0 - mass, grid - 0.8, grid)
        defect = np.mean((grid - y) ** 2) - np.mean((grid - np.sort(y)) ** 2)
        assert rare.defect.whole.upper > defect
        assert rare.verdict.optimality != "optimal"


def test_a_kurtosis_bounds_the_whole_map_and_gives_no_verdict():
    x = np.random.default_rng(0).exponential(size=(2000, 1))
    plain = audit_pairs(x, -x, budget=_BUDGET)
    found = audit_pairs(x, -x, budget=_BUDGET, kurtosis=12.0)
    assert found.defect.core is None
    assert found.defect.beside == plain.defect.core
    assert plain.defect.core.upper < found.defect.upper < 2.0 * plain.defect.core.upper
    assert found.verdict.optimality == plain.verdict.optimality
    assert found.defect.bounds[-1].level == "declared: gaps of kurtosis at most 12"
    few = audit_pairs(x[:40], -x[:40], budget=_BUDGET, kurtosis=12.0)
    assert few.defect.core is not None  # too few rows for a bound of the whole
    assert "inf" not in str(few)


@pytest.mark.filterwarnings("ignore:.*far outside of the others:UserWarning")
@pytest.mark.parametrize("n", [20, 40, 100, 200, pytest.param(1000, marks=pytest.mark.slow)])
def test_rows_that_show_no_gap_prove_none_under_a_kurtosis(n):
    """One in a hundred jumps: of the gap κ = 100, and many samples hold none of it."""
    wrong = 0
    for seed in range(8):
        r = np.random.default_rng(seed)
        x = r.choice([0.0, 1.0, -1.0], p=[0.99, 0.005, 0.005], size=(n, 1))
        x += r.uniform(-1e-3, 1e-3, size=(n, 1))
        d = audit_pairs(x, np.where(abs(x) > 0.5, -x, x), budget=0.1, kurtosis=110.0).defect
        wrong += d.core is None and d.upper < 0.04
    assert wrong == 0


def test_a_bound_of_the_whole_above_the_cost_leaves_the_headline_to_the_core():
    x = _normal(2000)
    found = audit_pairs(x, 2.0 * x, budget=_BUDGET, box=(-20.0, 20.0))
    assert found.defect.core is not None
    assert found.defect.upper == found.defect.core.upper < 0.01
    assert found.defect.whole.upper > 2.0
    assert found.verdict.optimality == "optimal"
    # The shares that stand beside it are of the same part.
    assert found.defect.relative_upper == found.defect.core.wasted.of_optimal[1]
    page = found.to_html()
    assert "whole map" in page
    assert "on the core" in page


def test_certificates_with_all_that_can_be_declared_are_read_again():
    x = np.random.default_rng(0).random((400, 2))
    found = audit_pairs(
        x, 1.0 - x, budget=_BUDGET, box=(0, 1), kurtosis=9.0, symmetry="exchangeable"
    )
    again = Certificate.from_json(found.to_json())
    assert again.to_dict() == found.to_dict()
    assert "of the whole map" in str(again)


def test_nothing_is_inferred_from_how_the_rows_look():
    """(6.12) is wrong for data that only look normal."""
    x = np.random.default_rng(0).normal(size=(600, 10))
    found = audit(lambda p: p @ np.diag([-1.0] + [1.0] * 9), x, budget=_BUDGET)
    assert {bound.level for bound in found.defect.bounds} == {"exact", "asymptotic"}
    assert found.defect.declared == ()


def test_orbits_within_a_law_of_many_points_are_of_other_points_than_the_rows():
    found = audit(_turn, Gaussian.standard(2), samples=600, budget=_BUDGET, key=jax.random.key(3))
    assert 0.8 * _TURNED < found.defect.lower < _TURNED
    assert found.defect.core.lower <= found.defect.core.upper


BAD = [
    ({"law": "normal"}, "law: got str"),
    ({"law": StandardNormal(3)}, "law: got dimension 3; wants that of the points, 2"),
    ({"symmetry": "round"}, "symmetry: got 'round'; wants one of"),
    ({"symmetry": Elliptical(np.zeros(3), np.eye(3))}, "symmetry: got a centre of shape"),
    ({"symmetry": Elliptical(np.zeros(2), -np.eye(2))}, "symmetry: got a scatter that is not"),
    ({"symmetry": SignChanges(np.zeros(1))}, "symmetry: got a centre of shape"),
    ({"box": 1.0}, "box: got 1.0; wants"),
    ({"box": (1.0, 0.0)}, "box: got a high end"),
    ({"box": (0.0, np.inf)}, "box: got a high end of inf"),
    ({"box": (np.nan, 1.0)}, "box: got a low end of nan"),
    ({"box": (1.0, 1.0)}, "box: got a high end that is not above"),
    ({"symmetry": SignChanges([np.nan, 0.0])}, "symmetry: got NaN or infinity in the centre"),
    ({"box": (np.zeros(3), 1.0)}, "box: got a low end of shape"),
    ({"kurtosis": 1.0}, "kurtosis: got 1.0; wants a number above 1"),
    ({"kurtosis": "12"}, "kurtosis: got '12'; wants"),
    ({"tolerance": 1e9}, "tolerance: got 1000000000.0; wants a share"),
    ({"groups": [None] * 50}, "groups: got no label"),
    ({"groups": [np.nan] * 20 + list(range(30))}, "groups: got no label"),
    ({"groups": ["", *"abcdefg"] * 6 + ["h", "i"]}, "groups: got no label"),
    ({"groups": [1, "1"] * 25}, "groups: got numbers and strings"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_declarations_name_their_argument(options, message):
    x = _normal(50)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        audit_pairs(x, x, **options)


def test_exchangeable_wants_coordinates():
    x = _normal(50, 1)
    with pytest.raises(ValueError, match="symmetry: got exchangeable coordinates in one dimension"):
        audit_pairs(x, x, symmetry="exchangeable")


def test_a_law_beside_a_measure_is_one_too_many():
    with pytest.raises(ValueError, match="law: got one beside a measure"):
        audit(np.sinh, Gaussian.standard(2), law=StandardNormal(2))


@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_numbers_of_any_kind_are_numbers():
    x = _normal(100)
    audit_pairs(x, x, budget=0.1, kurtosis=np.float32(3))
    audit_pairs(x, x, budget=0.1, kurtosis=np.int64(3))
    pixels = np.random.default_rng(0).random((100, 2)) * [1.0, 0.0]
    low, high = np.zeros(2), np.array([1.0, 0.0])  # one column is constant
    assert audit_pairs(pixels, pixels, budget=0.1, box=(low, high)).defect.withdrawn == ()
    single = np.full((100, 1), 0.1, np.float32) * np.random.default_rng(0).random((100, 1)) ** 0
    single[0] = 0.0
    assert audit_pairs(single, single, budget=0.1, box=(0.0, 0.1)).defect.withdrawn == ()


def test_a_law_may_stand_beside_rows_that_are_a_measure():
    x = _normal(600)
    found = audit(_turn, Empirical(x), law=StandardNormal(2), budget=_BUDGET)
    assert found.defect.declared == ("the source is StandardNormal",)


def test_a_spread_whose_square_is_nothing_is_refused():
    x = 1e-200 * _normal(50)
    with pytest.raises(ValueError, match="whose squares float64 cannot hold; wants another unit"):
        audit_pairs(x, -x)


@pytest.mark.parametrize("n", [20, pytest.param(31, marks=pytest.mark.slow)])
def test_few_rows_have_a_page(n):
    x = _normal(n)
    page = audit(_turn, x, budget=0.1).to_html()
    assert ("too few for batches" in page) == (n < 32)


def test_a_derivative_of_another_map_is_refused():
    x = _normal(200)
    with pytest.raises(ValueError, match="jacobian: got values that differ from differences"):
        audit(_turn, x, jacobian=lambda p: np.repeat(np.eye(2)[None], len(p), axis=0), budget=0.1)
    right = audit(_turn, x, jacobian=lambda p: np.repeat(_TURN[None], len(p), axis=0), budget=0.1)
    assert right.asymmetry.step == 0


def test_one_point_is_no_source():
    x = np.ones((50, 2))
    for attempt in (lambda: audit(np.sinh, x), lambda: audit_pairs(x, x)):
        with pytest.raises(ValueError, match="50 rows that are all equal"):
            attempt()
