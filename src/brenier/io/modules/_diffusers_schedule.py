"""The schedulers of the diffusers library: noise levels, and where their steps lie."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier.io._refusals import refusing

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import NoiseLevels, Sampling

_STEPS = 10**5  # of a schedule, at most
_PREDICTIONS = {
    "epsilon": "epsilon", "v_prediction": "v", "sample": "sample", "original_sample": "sample",
    "flow_prediction": "flow",
}  # fmt: skip
# By the family of their steps.
_DDIM = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
_DPM = ("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler")
_EULER = ("EulerDiscreteScheduler",)
_EDM = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
_FLOW = ("FlowMatchEulerDiscreteScheduler",)
_KNOWN = (*_DDIM, *_DPM, *_EULER, *_EDM, *_FLOW)
# ᾱ of the last step where the signal of others is rescaled to 0: diffusers' own, but for DDIM.
_LAST_BAR = 2.0**-24
# The signal that stands for none, where a table ends in noise alone.
_NO_SIGNAL = 1e-6
_COSINE_OFFSET, _LARGEST_RATE = 0.008, 0.999
_SIGMOID = 6.0


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """What a scheduler's configuration says: its levels, as signals of the steps, and its steps."""

    noise: "NoiseLevels"
    signals: tuple[float, ...]
    sampling: "Sampling"


def read_scheduler(home: Path, plan: dict[str, Any], *, clipping: bool) -> Scheduler:
    """The scheduler of a configuration.

    Args:
        home: where it lies, for messages.
        plan: the configuration.
        clipping: whether ``clip_sample`` and ``thresholding`` are meant; else they are left out.

    Raises:
        ValueError: a scheduler, a schedule or a prediction that brenier does not know, or switches
            that have no deterministic inverse.
    """
    name = plan.get("_class_name")
    if name not in _KNOWN:
        raise ValueError(f"{home}: got the scheduler {name!r:.100}; wants one of {list(_KNOWN)}.")
    _refuse(home, plan, clipping)
    with refusing(home, "an impossible scheduler", "one that diffusers wrote", ValueError):
        if name in _EDM:
            return _edm(plan)
        if name in _FLOW or _prediction(plan) == "flow":
            return _flow(plan, str(name))
        return _steps(plan, str(name), clipping)


def _refuse(home: Path, plan: dict[str, Any], clipping: bool) -> None:
    """What no deterministic map, or none that brenier knows, can honour: by its name."""
    if clipping and plan.get("thresholding"):
        raise ValueError(
            f"{home}: got thresholding, by a quantile of each predicted image, which no flow does "
            "and which has no inverse; wants clipping=False (ddpm import --no-clipping)."
        )
    switches = (
        ("use_beta_sigmas", False), ("use_lu_lambdas", False), ("use_dynamic_shifting", False),
        ("invert_sigmas", False), ("stochastic_sampling", False), ("interpolation_type", "linear"),
    )  # fmt: skip
    for switch, usual in switches:
        if plan.get(switch, usual) not in (usual, None):
            raise ValueError(
                f"{home}: got {switch} {plan[switch]!r:.100}; wants {usual!r}: brenier has no such "
                "steps."
            )


def _prediction(plan: dict[str, Any]) -> str:
    said = plan.get("prediction_type", "epsilon")
    if not isinstance(said, str) or said not in _PREDICTIONS:
        raise ValueError(f"the prediction {said!r:.100}, not one of {sorted(_PREDICTIONS)}")
    return _PREDICTIONS[said]


def _number(plan: dict[str, Any], name: str, usual: float | None) -> Any:
    value = plan.get(name, usual)
    if value is None and usual is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} {value!r:.100}, not a number")
    return float(value)


def _whole(plan: dict[str, Any], name: str) -> int:
    value = plan.get(name, 0)
    if type(value) is not int:
        raise ValueError(f"{name} {value!r:.100}, not an integer")
    return value


def _count(plan: dict[str, Any]) -> int:
    count = plan.get("num_train_timesteps", 1000)
    if type(count) is not int or not 2 <= count <= _STEPS:
        raise ValueError(f"{count!r:.100} steps, not 2 to {_STEPS:,}")
    return count


def _steps(plan: dict[str, Any], name: str, clipping: bool) -> Scheduler:
    """Schedulers of β in steps."""
    from brenier.images import NoiseLevels, Sampling

    zero = bool(plan.get("rescale_betas_zero_snr", False))
    bars = _bars(plan, zero)
    family: Any = "ddim" if name in _DDIM else "dpm" if name in _DPM else "euler"
    ends_in_noise = zero and family == "ddim"
    if zero:
        # Falling still: diffusers' own last level may lie above the one before.
        bars[-1] = _NO_SIGNAL**2 if ends_in_noise else min(_LAST_BAR, 0.5 * bars[-2])
    prediction: Any = _prediction(plan)
    if ends_in_noise and prediction == "epsilon":
        raise ValueError(
            "rescale_betas_zero_snr beside the prediction epsilon, which at the signal 0 says "
            "nothing of the image"
        )
    logarithm = plan.get("timestep_type", "discrete") == "continuous" and prediction == "v"
    clipped = name in ("DDPMScheduler", "DDIMScheduler") and plan.get("clip_sample", True)
    sampling = Sampling(
        family,
        _spacing(plan, name),
        _law(plan),
        _whole(plan, "steps_offset"),
        clean=_clean(plan, name),
        clip=_number(plan, "clip_sample_range", 1.0) if clipping and clipped else None,
        range=_range(plan),
        last=_last(plan, bars) if family == "dpm" else None,
        ends_in_noise=ends_in_noise,
    )
    signals = tuple(np.sqrt(bars).tolist())
    if logarithm and sampling.range is not None and sampling.law != "steps":
        signals = tuple(sampling.levels(len(bars), np.sqrt(bars))[0][::-1].tolist())
    kind: Any = "logarithm" if logarithm else "steps"
    return Scheduler(NoiseLevels(kind, prediction, signals, len(signals)), signals, sampling)


def _spacing(plan: dict[str, Any], name: str) -> Any:
    if name == "DPMSolverSinglestepScheduler":
        return "linspace"
    return plan.get("timestep_spacing", "leading" if name in _DDIM else "linspace")


def _law(plan: dict[str, Any]) -> Any:
    if plan.get("use_karras_sigmas"):
        return "karras"
    return "exponential" if plan.get("use_exponential_sigmas") else "steps"


def _clean(plan: dict[str, Any], name: str) -> bool:
    """Whether the last step goes to the clean image."""
    if name == "DDPMScheduler":
        return True
    if name in _DDIM:
        return bool(plan.get("set_alpha_to_one", name == "DDIMScheduler"))
    return plan.get("final_sigmas_type", "zero") == "zero"


def _range(plan: dict[str, Any]) -> tuple[float, float] | None:
    ends = _number(plan, "sigma_min", None), _number(plan, "sigma_max", None)
    return None if None in ends else ends


def _last(plan: dict[str, Any], bars: np.ndarray) -> int | None:
    """Steps whose signal-to-noise ratio is not below ``lambda_min_clipped``."""
    least = plan.get("lambda_min_clipped", -math.inf)
    if not isinstance(least, int | float):  # infinity is written as a text
        return None
    ratios = 0.5 * np.log(bars / (1.0 - bars))
    return int((ratios >= least).sum())


def _bars(plan: dict[str, Any], zero: bool) -> np.ndarray:
    """ᾱ of the steps, in the single precision that diffusers has."""
    count, kind = _count(plan), plan.get("beta_schedule", "linear")
    first, last = _number(plan, "beta_start", 1e-4), _number(plan, "beta_end", 0.02)
    given = plan.get("trained_betas")
    if given is not None:
        betas = np.asarray(given, np.float32)
        if betas.shape != (count,):
            raise ValueError(f"trained_betas of shape {betas.shape} for {count} steps")
    elif not (0.0 < first <= last < 1.0) and kind != "squaredcos_cap_v2":
        raise ValueError(f"rates {first!r:.100} to {last!r:.100}, not within 0 and 1 and rising")
    elif kind == "linear":
        betas = _line(first, last, count)
    elif kind == "scaled_linear":
        betas = np.square(_line(first**0.5, last**0.5, count))
    elif kind == "sigmoid":
        shares = 1.0 / (1.0 + np.exp(-_line(-_SIGMOID, _SIGMOID, count).astype(float)))
        betas = shares.astype(np.float32) * np.float32(last - first) + np.float32(first)
    elif kind == "squaredcos_cap_v2":
        shares = (np.arange(count + 1) / count + _COSINE_OFFSET) / (1.0 + _COSINE_OFFSET)
        bars = np.cos(shares * math.pi / 2) ** 2
        betas = np.minimum(1.0 - bars[1:] / bars[:-1], _LARGEST_RATE).astype(np.float32)
    else:
        raise ValueError(
            f"the schedule {kind!r:.100}, not linear, scaled_linear, squaredcos_cap_v2 or sigmoid"
        )
    if not (np.isfinite(betas).all() and (betas > 0.0).all() and (betas < 1.0).all()):
        raise ValueError("rates β that are not between 0 and 1")
    if zero:
        betas = _rescaled(betas)
    alphas = np.float32(1.0) - betas
    return np.cumprod(alphas.astype(float)).astype(np.float32).astype(float)


def _line(first: float, last: float, count: int) -> np.ndarray:
    """Equal steps in single precision, from either end to the middle: as PyTorch rounds them."""
    start, end = np.float32(first), np.float32(last)
    step = (end - start) / np.float32(count - 1)
    index = np.arange(count)
    up = start + step * index.astype(np.float32)
    down = end - step * (count - 1 - index).astype(np.float32)
    return np.where(index < count // 2, up, down).astype(np.float32)


def _rescaled(betas: np.ndarray) -> np.ndarray:
    """Rates after which the last signal is 0 and the first is kept (Lin et al. 2024)."""
    alphas = np.float32(1.0) - betas
    roots = np.sqrt(np.cumprod(alphas.astype(float)).astype(np.float32))
    first, last = roots[0], roots[-1]
    bars = np.square((roots - last) * (first / (first - last)))
    return np.float32(1.0) - np.append(bars[:1], bars[1:] / bars[:-1])


def _edm(plan: dict[str, Any]) -> Scheduler:
    """The preconditioned networks of Karras et al. (2022)."""
    from brenier.images import NoiseLevels, Sampling

    count, prediction = _count(plan), _prediction(plan)
    if prediction not in ("epsilon", "v"):
        raise ValueError(f"the prediction {prediction!r}, not epsilon or v_prediction")
    law: Any = plan.get("sigma_schedule", "karras")
    if law not in ("karras", "exponential"):
        raise ValueError(f"sigma_schedule {law!r:.100}, not karras or exponential")
    ends = _number(plan, "sigma_min", 0.002), _number(plan, "sigma_max", 80.0)
    clean = plan.get("final_sigmas_type", "zero") == "zero"
    rho = _number(plan, "rho", 7.0)
    sampling = Sampling("edm", law=law, clean=clean, range=ends, rho=rho)
    signals = tuple(sampling.levels(count, np.zeros(count))[0][::-1].tolist())
    said: Any = prediction
    noise = NoiseLevels("edm", said, signals, count, _number(plan, "sigma_data", 0.5))
    return Scheduler(noise, signals, sampling)


def _flow(plan: dict[str, Any], name: str) -> Scheduler:
    """Flow matching along lines."""
    from brenier.images import NoiseLevels, Sampling

    count, own = _count(plan), name in _FLOW
    if not own and not plan.get("use_flow_sigmas"):
        raise ValueError("the prediction flow_prediction without use_flow_sigmas")
    shift = _number(plan, "shift" if own else "flow_shift", 1.0)
    law: Any = _law(plan)
    sampling = Sampling(
        "flow" if own else "dpm",
        law="flow" if law == "steps" else law,
        clean=own or plan.get("final_sigmas_type", "zero") == "zero",
        shift=shift,
        terminal=_number(plan, "shift_terminal", None),
    )
    noise = np.arange(1, count + 1) / count
    noise = shift * noise / (1.0 + (shift - 1.0) * noise)
    signals = (1.0 - noise) / np.hypot(noise, 1.0 - noise)
    signals[-1] = _NO_SIGNAL
    held = tuple(signals.tolist())
    return Scheduler(NoiseLevels("flow", "v", held, count), held, sampling)
