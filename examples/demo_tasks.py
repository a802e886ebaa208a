"""The demo's two tasks on real data, and their models in plain NumPy, gradients included.

Nothing is downloaded: the handwritten digits come with scikit-learn, the text (chapters of the
Python language reference) with Python. Everything random is drawn here, once, so that whoever
trains a task starts from the same weights and sees the same batches.
"""

import re
from types import SimpleNamespace
from typing import Any, Callable, List, NamedTuple, Sequence, Tuple

import numpy as np

BATCH = 32
TOPICS = (
    "attribute-access",
    "comparisons",
    "debugger",
    "execmodel",
    "formatstrings",
    "import",
    "string-methods",
    "try",
    "types",
    "typesmapping",
    "typesseq",
)
WORDS = 16  # in one sample of text
VOCABULARY = 2000


class Task(NamedTuple):
    """Data, initial weights and settings of one thing to learn."""

    name: str
    title: str
    train: Tuple[np.ndarray, np.ndarray]
    test: Tuple[np.ndarray, np.ndarray]
    weights: Tuple[np.ndarray, ...]
    epochs: int
    learning_rate: float


def digits() -> Task:
    """Images of handwritten digits, for a small dense network: dense gradients."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    random = np.random.RandomState(1)
    order = random.permutation(len(images))
    return Task(
        name="digits",
        title="handwritten digits, dense gradients",
        train=_whole_batches((images / 16.0)[order[360:]], labels[order[360:]]),
        test=((images / 16.0)[order[:360]], labels[order[:360]]),
        weights=(
            random.uniform(-0.2, 0.2, (64, 32)),
            np.zeros(32),
            random.uniform(-0.2, 0.2, (32, 10)),
            np.zeros(10),
        ),
        epochs=15,
        learning_rate=1e-3,
    )


def text() -> Task:
    """Which chapter of the Python language reference are these words from? Sparse gradients."""
    from pydoc_data.topics import topics

    chapters = [re.findall(r"[a-z]+", topics[name].lower()) for name in TOPICS if name in topics]
    seen, counts = np.unique([word for words in chapters for word in words], return_counts=True)
    common = seen[np.argsort(-counts, kind="stable")][: VOCABULARY - 1]
    numbers = {word: number for number, word in enumerate(common, start=1)}  # 0: any other word
    samples, labels = [], []
    for label, words in enumerate(chapters):
        for start in range(0, len(words) - WORDS, WORDS):
            samples.append([numbers.get(word, 0) for word in words[start : start + WORDS]])
            labels.append(label)
    random = np.random.RandomState(2)
    order = random.permutation(len(samples))
    held_out = len(samples) // 5
    inputs, answers = np.array(samples, np.int32)[order], np.array(labels)[order]
    return Task(
        name="text",
        title="Python's manual, sparse gradients",
        train=_whole_batches(inputs[held_out:], answers[held_out:]),
        test=(inputs[:held_out], answers[:held_out]),
        weights=(
            random.uniform(-0.05, 0.05, (VOCABULARY, 16)),
            random.uniform(-0.2, 0.2, (16, len(chapters))),
            np.zeros(len(chapters)),
        ),
        epochs=15,
        learning_rate=2e-3,
    )


def tasks() -> List[Task]:
    """Both tasks."""
    return [digits(), text()]


def _whole_batches(inputs: np.ndarray, labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    whole = len(inputs) // BATCH * BATCH
    return inputs[:whole], labels[:whole].astype(np.int32)


def as_dtype(task: Task, dtype: str) -> Task:
    """The same task with its numbers (but not its words and labels) of another dtype."""

    def cast(data: np.ndarray) -> np.ndarray:
        return data.astype(dtype) if data.dtype.kind == "f" else data

    return task._replace(
        train=(cast(task.train[0]), task.train[1]),
        test=(cast(task.test[0]), task.test[1]),
        weights=tuple(cast(weight) for weight in task.weights),
    )


def batches(task: Task) -> List[Tuple[np.ndarray, np.ndarray]]:
    """The batches of one epoch; each epoch has the same ones, in the same order."""
    inputs, labels = task.train
    return [
        (inputs[start : start + BATCH], labels[start : start + BATCH])
        for start in range(0, len(inputs), BATCH)
    ]


# --------------------------------------------------------------------------- the models, in NumPy


def logits(task: Task, weights: Sequence[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """The model's scores for each class."""
    kernel, bias = weights[-2:]
    return np.asarray(_features(task, weights, inputs) @ kernel + bias)


def _features(task: Task, weights: Sequence[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    if task.name == "digits":
        return np.tanh(inputs @ weights[0] + weights[1])
    return np.asarray(weights[0][inputs].mean(axis=1))


def loss_and_gradients(
    task: Task, weights: Sequence[np.ndarray], inputs: np.ndarray, labels: np.ndarray
) -> Tuple[float, List[np.ndarray]]:
    """The mean cross-entropy over a batch and its gradient for each weight."""
    features = _features(task, weights, inputs)
    scores = features @ weights[-2] + weights[-1]
    scores = scores - scores.max(axis=1, keepdims=True)
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(labels))
    loss = -log_probabilities[rows, labels].mean()
    d_scores = np.exp(log_probabilities)
    d_scores[rows, labels] -= 1
    d_scores /= len(labels)
    d_features = d_scores @ weights[-2].T
    last = [features.T @ d_scores, d_scores.sum(axis=0)]
    if task.name == "digits":
        d_hidden = d_features * (1 - features**2)
        return loss, [inputs.T @ d_hidden, d_hidden.sum(axis=0)] + last
    d_table = np.zeros_like(weights[0])
    np.add.at(d_table, inputs, d_features[:, np.newaxis, :] / inputs.shape[1])
    return loss, [d_table] + last


def accuracy(task: Task, scores: np.ndarray) -> float:
    """The share of the test samples that these scores put into the right class."""
    return float((scores.argmax(axis=1) == task.test[1]).mean())


def train_in_numpy(
    task: Task, rule: Any, dtype: str, after_epoch: Callable[[float], None]
) -> Tuple[List[np.ndarray], List[float]]:
    """Train with NumPy as the rule's `xp`: what every API's result is compared with.

    The rule is called as the plain function that it is: no adapter and no framework has a part.
    Returns the trained weights and each epoch's mean loss.
    """
    hyper = SimpleNamespace(**rule.config())
    task = as_dtype(task, dtype)
    weights = list(task.weights)
    slots = [rule.init(np, weight) for weight in weights]
    losses, step = [], 0
    for _ in range(task.epochs):
        epoch = []
        for inputs, labels in batches(task):
            step += 1
            loss, gradients = loss_and_gradients(task, weights, inputs, labels)
            epoch.append(loss)
            for i, gradient in enumerate(gradients):
                weights[i], slots[i] = rule.update(
                    np, gradient, weights[i], slots[i], hyper, step
                )
        losses.append(float(np.mean(epoch)))
        after_epoch(losses[-1])
    return weights, losses
