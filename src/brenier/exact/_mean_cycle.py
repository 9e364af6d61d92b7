"""The cycle of least mean weight in a dense graph, and potentials that prove it the least."""

import numpy as np

_MOST_ROUNDS = 1000


def least_mean_cycle(weights: np.ndarray, tolerance: float) -> tuple[float, np.ndarray]:
    """λ, the least mean weight of a cycle, and v with v_p ≤ v_q + w_pq − λ for all p ≠ q.

    Howard's policy iteration (Dasdan 2004): each point p points at one q; the best cycle among
    these sets λ and the values v of all points that lead to it; then each p looks for a better q.
    ``weights`` (k, k), k ≥ 2, is a complete graph, infinite on its diagonal; where the rounds run
    out, v still belongs to the λ returned up to what the last round improved.
    """
    policy = np.argmin(weights, axis=1)
    everyone = np.arange(len(weights))
    value = weights[everyone, policy]
    into = weights.T.copy()
    mean, changed = np.inf, everyone
    improved = np.ones(len(weights), dtype=bool)
    for _ in range(_MOST_ROUNDS):
        before, old = mean, value
        mean, value = _evaluate(weights[everyone, policy], policy, value)
        # Only what has changed since the last round can improve anything; at the end, all are seen.
        partial = mean == before and improved.any()
        changed = np.flatnonzero((value != old) | improved) if partial else everyone
        onward = (into[changed] if len(changed) < len(into) else into) + value[changed, None]
        best = np.argmin(onward, axis=0)
        found = onward[best, everyone] - mean
        improved = found < value - tolerance
        if not partial and not improved.any():
            break
        value = np.where(improved, found, value)
        policy = np.where(improved, changed[best], policy)
    return float(mean), value


def _evaluate(
    weight: np.ndarray, policy: np.ndarray, value: np.ndarray
) -> tuple[float, np.ndarray]:
    """The best cycle of a policy, and the values of the points that lead to it, by doubling."""
    n = len(policy)
    everyone = np.arange(n)
    label, jump = everyone, policy
    for _ in range(n.bit_length()):
        label = np.minimum(label, label[jump])
        jump = jump[jump]
    # After 2^bits ≥ n steps all stand on a cycle, whose label is its least member.
    on_cycle = np.zeros(n, dtype=bool)
    on_cycle[jump] = True
    cycle = label[on_cycle]
    length = np.bincount(cycle, minlength=n)
    total = np.bincount(cycle, weight[on_cycle], minlength=n)
    means = np.divide(total, length, out=np.full(n, np.inf), where=length > 0)
    root = int(np.argmin(means))
    mean = float(means[root])
    # The sums of weight − mean on the way to the root, where the walk ends.
    cost, jump = weight - mean, policy.copy()
    cost[root], jump[root] = 0.0, root
    for _ in range(n.bit_length()):
        cost = cost + cost[jump]
        jump = jump[jump]
    return mean, np.where(jump == root, value[root] + cost, value)
