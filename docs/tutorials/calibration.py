# %% [markdown]
# # Calibrating a simulation against measured data
#
# **The question.** A detector is simulated, and the simulation is a little off: its energy scale,
# its noise, the correlation of its two readings. There are events of both kinds, but no event is
# in both. Which small correction of every simulated event makes the simulation look like the data?
#
# The optimal transport map is the answer that *changes each event as little as possible*. So an
# event keeps its identity, and what was right stays as it was.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import brenier

names = ["energy", "time", "width"]
random = np.random.default_rng(0)


def events(n, gain, delay, noise):
    """Energy, arrival time and pulse width of n events."""
    energy = random.gamma(4.0, 2.0, size=n)
    time = random.normal(size=n) * 0.5 + 10.0 / (2.0 + energy)
    width = 1.0 + 0.1 * energy + 0.3 * np.abs(random.normal(size=n))
    smeared = gain * energy + noise * random.normal(size=n)
    return np.stack([smeared, time + delay, width * gain**0.5], axis=1)


simulated = events(1000, gain=1.0, delay=0.0, noise=0.3)
measured = events(1200, gain=1.15, delay=0.4, noise=0.9)

# %% [markdown]
# ## Fit on some events, look at others
#
# What a correction does to the events that it was fitted on proves little. So it is looked at on
# events that it has never seen.

# %%
estimator = brenier.MongeMap(effort="quick", random_state=0)
estimator.fit(simulated, measured)
print(estimator.candidates_)

fresh = events(2500, gain=1.0, delay=0.0, noise=0.3)
target = events(2500, gain=1.15, delay=0.4, noise=0.9)
corrected = estimator.transform(fresh)

# %% [markdown]
# ## Histograms before and after

# %% alt="Three histograms. Of energy, time and width the corrected simulation lies on the measured one, the raw simulation beside it."
figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
brenier.report.plot_marginals(fresh, corrected, target, names=names, ax=axes)
plt.show()

# %% [markdown]
# Dashed is the simulation as it was, red after the correction, filled the measured events: red
# should follow the filled shape up to the noise of 2500 events.
#
# Histograms see one column at a time. A classifier sees all of them: can it tell the two kinds
# apart? An area under its curve (AUC) of 0.5 is a coin.


# %%
def told_apart(one, other):
    """AUC of a random forest between two clouds, by cross-validation."""
    points, label = np.concatenate([one, other]), np.repeat([0, 1], [len(one), len(other)])
    model = RandomForestClassifier(60, min_samples_leaf=20, random_state=0)
    chance = cross_val_predict(model, points, label, cv=4, method="predict_proba")[:, 1]
    return roc_auc_score(label, chance)


print(f"AUC before {told_apart(fresh, target):.2f}, after {told_apart(corrected, target):.2f}")

# %% [markdown]
# ## What each event was changed by

# %% alt="Arrows from simulated to corrected events in the plane of energy and time: energies grow, the more the higher they are, and all times grow by about the same."
axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")[1]
step = corrected - fresh
start, end = fresh[:80, :2], corrected[:80, :2]
axes.quiver(
    *start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, width=0.003, color="grey"
)
axes.plot(*start.T, ".", label="simulated")
axes.plot(*end.T, ".", label="corrected")
axes.set(xlabel="energy", ylabel="time")
axes.legend(frameon=False)
plt.show()
print(
    "mean change of", ", ".join(f"{n} {s:+.2f}" for n, s in zip(names, step.mean(0), strict=True))
)

# %% [markdown]
# ## Events with weights
#
# Simulations draw rare events more often than they happen, so that enough of them are seen, and give
# each event a weight to make up for it. Here high energies were drawn too often, by a factor that is
# known. Without their weights the map would lower every energy, to have fewer high ones; with them it
# is the calibration again.

# %%
many = events(4000, gain=1.0, delay=0.0, noise=0.3)
factor = 1.0 / (1.0 + np.exp(-0.5 * (many[:, 0] - 10.0)))  # how much more often an event is drawn
drawn = random.uniform(size=len(many)) < factor + 0.05
tilted, weights = many[drawn], 1.0 / (factor + 0.05)[drawn]
for name, own in (("without", None), ("with", weights)):
    again = brenier.MongeMap(effort="quick", random_state=0)
    again.fit(tilted, measured, source_weights=own)
    off = again.transform(fresh) - corrected
    print(f"{name} weights: energies {off[:, 0].mean():+.2f} beside the map above")

# %% [markdown]
# [What weights say](../weights.md), of data that have them.
#
# ## What can go wrong
#
# - **Another mixture is not another calibration.** If the data hold more of one kind of event, the
#   map turns events of the other kind into it. Correct each kind by itself, or weight first.
# - **Noise cannot be added by a map.** Where the data are noisier, the map stretches the
#   simulation to the same spread. The law is right; an event's own noise is not new noise.
# - **Beyond the events that were seen** the map goes on in the way it learned, and nobody checked
#   that. Look at how many fresh events lie outside of the fitted ones.
#
# ## Where to go on
#
# Is the correction as small as can be? `estimator.audit(fresh, target)` [certifies it](../rooms/certify.md).
# On the command line this page is `brenier fit simulated.csv measured.csv -o map.brenier --report
# fit.html` and `brenier transport map.brenier fresh.csv -o corrected.csv`
# ([all commands](../command-line.md)).
