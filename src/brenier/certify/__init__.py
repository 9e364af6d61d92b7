"""How far a map is from optimal, with bounds that hold, and whether it reaches its target."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier.certify._assignment_test import (
    AssignmentTest,
    alignment,
    assignment_test,
    paired_closer,
)
from brenier.certify._audit import audit, audit_pairs
from brenier.certify._certificate import Certificate, Cost, Truth, Verdict
from brenier.certify._core import Core, Share
from brenier.certify._defect import Bound, Defect, Growth
from brenier.certify._pair_savings import Cycle
from brenier.certify._symmetry import AbstractSymmetry, Elliptical, Exchangeable, SignChanges
from brenier.certify._target_tests import TargetTests
from brenier.certify._weights import EffectiveRows, WeightedLevel, Weighting
from brenier.certify._witnesses import Asymmetry, Monotonicity, Ring, jacobian_asymmetry
from brenier.certify.page import plot_certificate

__all__ = [
    "AbstractSymmetry",
    "AssignmentTest",
    "Asymmetry",
    "Bound",
    "Certificate",
    "Core",
    "Cost",
    "Cycle",
    "Defect",
    "EffectiveRows",
    "Elliptical",
    "Exchangeable",
    "Growth",
    "Monotonicity",
    "Ring",
    "Share",
    "SignChanges",
    "TargetTests",
    "Truth",
    "Verdict",
    "WeightedLevel",
    "Weighting",
    "alignment",
    "assignment_test",
    "audit",
    "audit_pairs",
    "jacobian_asymmetry",
    "paired_closer",
    "plot_certificate",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
