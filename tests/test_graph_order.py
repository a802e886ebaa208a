"""In a TensorFlow 1 graph, what a rule makes of all gradients is computed before anything is written."""

import pytest
from _apis import APIS

import kcompat
from kcompat import rules
from kcompat.transforms import ClipByGlobalNorm

# (API, whether its variables are resources; OptimizerV2 takes no others).
CASES = [case for case in (("tf1", True), ("tf1", False), ("optimizer_v2", True)) if case[0] in APIS]
# Kinds of operations that write a variable.
WRITES = ("Assign", "AssignVariableOp")

made = []


class Recorded(rules.DAdaptAdam):
    """Takes down the tensors of the shared scalars."""

    def prepare(self, xp, grads, params, slots, shared, hyper, step):
        result = super().prepare(xp, grads, params, slots, shared, hyper, step)
        raw = [xp.unwrap(value) for value in result[1].values()]
        made.extend(each for each in raw if hasattr(each, "op"))
        return result


def before(operation):
    """Everything that runs before an operation."""
    found, todo = set(), [operation]
    while todo:
        each = todo.pop()
        following = [tensor.op for tensor in each.inputs] + list(each.control_inputs)
        todo += [op for op in following if op not in found]
        found.update(following)
    return found


@pytest.mark.parametrize("api,resource", CASES)
@pytest.mark.parametrize("clipped", [False, True])
def test_shared_scalars_are_made_before_any_variable_is_written(api, resource, clipped):
    import tensorflow as tf

    v1 = getattr(tf.compat, "v1", tf)
    del made[:]
    with v1.Graph().as_default() as graph:
        variables = [
            v1.get_variable(name, initializer=[1.0, 2.0], use_resource=resource) for name in ("one", "two")
        ]
        rule = ClipByGlobalNorm(Recorded(), 1.0) if clipped else Recorded()
        optimizer = kcompat.optimizer(rule, api=api)
        done = optimizer.apply_gradients([(variable * 0.5, variable) for variable in variables])
        in_step = before(done) | {done}
        initial = before(v1.global_variables_initializer())
        writes = [op for op in in_step - initial if op.type in WRITES]
        assert len(writes) >= 2 * 4 + 3 and len(made) == 3, [op.name for op in graph.get_operations()]
        for op in writes:
            earlier = before(op)
            assert all(tensor.op in earlier for tensor in made), op.name
