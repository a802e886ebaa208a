"""Where a strategy does not let an optimizer take a step, and who sums gradients: once, and not twice.

python refusals.py API
"""

import functools
import sys

import _problem
import tensorflow as tf
import tensorflow_strategies as one
from _problem import assert_same, report

import kcompat

one.logical_cpus(4)
STRATEGY = one.make_strategy("mirrored2")


def make(api, case="adam"):
    with STRATEGY.scope():
        return one.make_variables(api), _problem.optimizer(case, api)


def train(step):
    """Trains with the global batches: `step` is one step of one replica."""
    traced = tf.function(
        lambda rows, targets: one.run_on_replicas(
            STRATEGY, lambda r, t: one.void(step(r, t)), (rows, targets)
        )
    )
    for rows, targets in one.shares(STRATEGY):
        traced(rows, targets)


def raises(function, error, *words):
    """It raises an error of this class (or one that is made of it, with its name in it) with these words."""
    try:
        function()
    except Exception as raised:
        assert isinstance(raised, error), repr(raised)
        for each in words:
            assert each in str(raised), (each, str(raised))
        assert "merge_call" not in str(raised)
        return
    raise AssertionError("nothing was raised")


def in_the_cross_replica_context(api):
    variables, optimizer = make(api)
    pairs = [(tf.ones(variable.shape), variable) for variable in variables]
    before = one.values(variables)

    def apply():
        with STRATEGY.scope():
            optimizer.apply_gradients(pairs)

    words = "cross-replica context of a MirroredStrategy", "strategy.run"
    raises(apply, kcompat.DistributionError, *words)
    raises(tf.function(apply), kcompat.DistributionError, *words)
    assert not optimizer.get_slot_names(), "an error leaves everything as it was"
    assert_same(one.values(variables), before, "values")


def outside_of_the_scope(api):
    """Variables of a strategy, and a step that is taken in no strategy's scope."""
    variables, optimizer = make(api)
    pairs = [(tf.ones(variable.shape), variable) for variable in variables]
    words = "was made in the scope of another distribution strategy", "strategy.scope()"
    raises(lambda: optimizer.apply_gradients(pairs), kcompat.GradientError, *words)


def outside_of_the_scope_once_built(api):
    """The same, when the optimizer knows the variables already."""
    variables, optimizer = make(api)
    with STRATEGY.scope():
        optimizer.build(variables)
    pairs = [(tf.ones(variable.shape), variable) for variable in variables]
    words = "MirroredStrategy", "strategy.run"
    raises(lambda: optimizer.apply_gradients(pairs), kcompat.DistributionError, *words)


def variables_of_no_strategy(api):
    variables, optimizer = one.make_variables(api), _problem.optimizer("adam", api)
    pairs = [(tf.ones(variable.shape), variable) for variable in variables]

    @tf.function
    def step():
        one.run_on_replicas(STRATEGY, lambda: one.void(optimizer.apply_gradients(pairs)), ())

    words = "was made in the scope of another distribution strategy", "one of MirroredStrategy"
    raises(step, kcompat.GradientError, *words)


def summed_by_the_user(api):
    """The user sums the gradients, and the optimizer does not do it again."""
    for argument in ({"skip_gradients_aggregation": True}, {"experimental_aggregate_gradients": False}):
        expected, _, _ = one.alone("global_clipnorm", api)
        variables, optimizer = make(api, "global_clipnorm")
        natives = [one.native(variable) for variable in variables]

        def apply(natives, rows, targets, variables=variables, optimizer=optimizer, argument=argument):
            with tf.GradientTape() as tape:
                loss = _problem.loss(natives, rows, targets)
            grads = [tf.convert_to_tensor(grad) for grad in tape.gradient(loss, natives)]
            grads = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, grads)
            optimizer.apply_gradients(list(zip(grads, variables)), **argument)

        train(functools.partial(apply, natives))
        assert_same(one.values(variables), expected, "values")


def minimized(api):
    """`minimize` sums, too."""
    expected, _, _ = one.alone("adam", api)
    variables, optimizer = make(api)
    natives = [one.native(variable) for variable in variables]

    def minimize(rows, targets):
        optimizer.minimize(lambda: _problem.loss(natives, rows, targets), var_list=variables)

    train(minimize)
    assert_same(one.values(variables), expected, "values")


def learning_rate_and_averages(api):
    """What is set between steps reaches every replica, and averages are exchanged on all."""
    variables, optimizer = make(api, "averages")
    step, before = functools.partial(one.train, optimizer, variables), one.values(variables)
    train(step)
    values = one.values(variables)
    assert all((old != new).any() for old, new in zip(before, values))
    optimizer.learning_rate = 0.0
    train(step)
    one.check_copies(STRATEGY, [one.native(v) for v in variables], values)
    averages = [one.native(optimizer.get_slot(variable, "average")).numpy() for variable in variables]
    assert all((average != value).any() for average, value in zip(averages, values))
    with STRATEGY.scope():
        optimizer.swap_averages()
    one.check_copies(STRATEGY, [one.native(v) for v in variables], averages)
    with STRATEGY.scope():
        optimizer.swap_averages(back=True)
        one.check_copies(STRATEGY, [one.native(v) for v in variables], values)
        optimizer.finalize_variable_values(variables)
    one.check_copies(STRATEGY, [one.native(v) for v in variables], averages)
    weights = optimizer.get_weights()
    optimizer.set_weights([weight * 0 for weight in weights])
    assert one.steps_done(optimizer) == 0


def main(api):
    cases = (
        in_the_cross_replica_context,
        outside_of_the_scope,
        outside_of_the_scope_once_built,
        variables_of_no_strategy,
        summed_by_the_user,
        minimized,
        learning_rate_and_averages,
    )
    report({case.__name__: (lambda case=case: case(api)) for case in cases})


if __name__ == "__main__":
    main(sys.argv[1])
