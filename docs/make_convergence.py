"""Writes docs/convergence.png and docs/convergence.md: every rule of the catalogue, trained on real data.

`python docs/make_convergence.py` runs each rule in NumPy on the demo's first task, scikit-learn's handwritten
digits with a small network, and draws the losses; it wants scikit-learn and matplotlib, and no framework.
tests/test_convergence.py asks each rule for the loss that is given here.
"""

from __future__ import annotations

import datetime
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PICTURE = os.path.join(HERE, "convergence.png")
PAGE = os.path.join(HERE, "convergence.md")
COMMAND = "python docs/make_convergence.py"

for path in (os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "examples")):
    if path not in sys.path:
        sys.path.insert(0, path)

import demo_tasks  # noqa: E402
import numpy as np  # noqa: E402

from kcompat import rules  # noqa: E402
from kcompat.testing import reference  # noqa: E402

EPOCHS = 5
NAMES = ["dense/kernel", "dense/bias", "out/kernel", "out/bias"]

# Rule -> (its arguments, the mean loss of the last epoch that it must stay below: a twentieth above its own).
# The network starts at 2.3, where all classes are alike. Learning rates are of a coarse search by factors of
# about 3.
SETTINGS = {
    "AdaBelief": ({"learning_rate": 0.03}, 0.141),
    "AdaBound": ({"learning_rate": 0.03}, 0.072),
    "Adadelta": ({"learning_rate": 10.0}, 0.106),
    "Adafactor": ({"learning_rate": 0.3}, 0.108),
    "Adagrad": ({"learning_rate": 0.3}, 0.110),
    "Adam": ({"learning_rate": 0.03}, 0.091),
    "Adamax": ({"learning_rate": 0.03}, 0.106),
    "AdamP": ({"learning_rate": 0.03}, 0.092),
    "AdamW": ({"learning_rate": 0.03}, 0.092),
    "Adan": ({"learning_rate": 0.03}, 0.047),
    "AdEMAMix": ({"learning_rate": 0.03}, 0.090),
    "ADOPT": ({"learning_rate": 0.01}, 0.119),
    "COCOB": ({}, 0.106),
    # Its learning rate is the fraction of the parameter that is kept.
    "ConditionalGradient": ({"learning_rate": 0.997, "lambda_": 100.0}, 0.207),
    "DAdaptAdam": ({}, 0.114),
    "Ftrl": ({"learning_rate": 0.3}, 0.135),
    "LAMB": ({"learning_rate": 0.01}, 0.169),
    "Lamb": ({"learning_rate": 0.01}, 0.169),
    "LARS": ({"learning_rate": 10.0}, 0.160),
    "LazyAdam": ({"learning_rate": 0.03}, 0.091),
    "Lion": ({"learning_rate": 0.003}, 0.108),
    "Muon": ({"learning_rate": 0.03}, 0.022),
    "Nadam": ({"learning_rate": 0.03}, 0.066),
    "NadamW": ({"learning_rate": 0.03}, 0.061),
    "NovoGrad": ({"learning_rate": 0.03}, 0.127),
    "Prodigy": ({}, 0.147),
    "ProximalAdagrad": ({"learning_rate": 0.3}, 0.110),
    "RectifiedAdam": ({"learning_rate": 0.03}, 0.164),
    "RMSprop": ({"learning_rate": 0.03}, 0.097),
    "ScheduleFreeAdamW": ({"learning_rate": 0.03}, 0.050),
    "ScheduleFreeSGD": ({"learning_rate": 3.0}, 0.040),
    "SGD": ({"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}, 0.097),
    "SGDW": ({"learning_rate": 0.1, "weight_decay": 1e-05, "momentum": 0.9}, 0.101),
    "SOAP": ({"learning_rate": 0.01, "max_precondition_dim": 32}, 0.097),
    "Sophia": ({"learning_rate": 0.003}, 0.138),
    "Yogi": ({"learning_rate": 0.03}, 0.097),
}

TOP = """# Convergence

Written by `{command}` on {date}, with NumPy {numpy}; do not edit.
Every rule of the catalogue trains the network of
`examples/demo_tasks.py` (64 inputs, 32 hidden units, 10 classes) on scikit-learn's handwritten digits:
{epochs} epochs of {batches} batches of 32, in NumPy and float64. Each panel has one rule's training loss in
colour, and those of all others in grey, on the same axes.

![The training loss of each rule, one panel each](convergence.png)

The picture says that every rule learns, not which is best: learning rates are of a coarse search, and the
network is small. *Loss* is the mean over the last epoch, *accuracy* that on 360 images which no rule has
seen. `tests/test_convergence.py` holds every rule to its loss: in NumPy, and in `tox run -m catalogue` on an
API.

| Rule | Loss | Accuracy | Arguments |
|---|---|---|---|
{rows}
"""


def rule_of(name):
    """A rule with the arguments of its run."""
    return getattr(rules, name)(**SETTINGS[name][0])


def train(rule):
    """Trains the demo's network: (the loss of each step, the accuracy on held-out images)."""
    task = demo_tasks.digits()
    rows = iter(demo_tasks.batches(task) * EPOCHS)
    losses = []

    def gradients(weights):
        batch = next(rows, None)
        if batch is None:
            return None
        loss, found = demo_tasks.loss_and_gradients(task, weights, *batch)
        losses.append(loss)
        return found

    weights, slots = reference(rule, task.weights, gradients, names=NAMES)
    return np.array(losses), demo_tasks.accuracy(task, demo_tasks.logits(task, weights, task.test[0]))


def last_epoch(losses):
    """The mean loss of the last epoch."""
    return float(losses[-(len(losses) // EPOCHS) :].mean())


def smoothed(losses, width=15):
    """The running mean of the losses, so that one batch does not hide the course."""
    sums = np.cumsum(np.insert(losses, 0, 0.0))
    starts = np.maximum(np.arange(1, len(losses) + 1) - width, 0)
    ends = np.arange(1, len(losses) + 1)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw(curves):
    """Writes the picture: one panel a rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 6
    figure, axes = pyplot.subplots(
        -(-len(curves) // columns), columns, figsize=(15, 14), sharex=True, sharey=True
    )
    for panel in axes.flat[len(curves) :]:
        panel.axis("off")
    for (name, losses), panel in zip(curves.items(), axes.flat):
        for other, values in curves.items():
            if other != name:
                panel.plot(values, color="0.85", linewidth=0.7)
        panel.plot(losses, color="C0", linewidth=2)
        panel.set_yscale("log")
        panel.set_title("{}  {:.3f}".format(name, losses[-1]), fontsize=12)
        panel.tick_params(labelsize=10)
    figure.supxlabel("step", fontsize=13)
    figure.supylabel("training loss, mean of 15 steps (the last in the title)", fontsize=13)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)


def main():
    """Run every rule, and write the picture and the page."""
    names = sorted(rules.CATALOGUE, key=lambda name: (name.lower(), name))
    curves, lines = {}, []
    for name in names:
        losses, accuracy = train(rule_of(name))
        curves[name] = smoothed(losses)
        given = ", ".join("{}={!r}".format(*item) for item in SETTINGS[name][0].items())
        shown = "`{}`".format(given) if given else "defaults"
        cells = (name, "{:.3f}".format(last_epoch(losses)), "{:.1%}".format(accuracy), shown)
        lines.append("| {} | {} | {} | {} |".format(*cells))
    draw(curves)
    with open(PAGE, "w", encoding="utf-8", newline="\n") as file:
        batches = len(demo_tasks.batches(demo_tasks.digits()))
        text = TOP.format(
            command=COMMAND,
            date=datetime.date.today().isoformat(),
            numpy=np.__version__,
            epochs=EPOCHS,
            batches=batches,
            rows="\n".join(lines),
        )
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
