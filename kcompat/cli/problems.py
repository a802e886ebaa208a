"""What goes wrong with optimizers between TensorFlow and Keras releases, by the message that shows it.

The table is data: `match` finds the rows that a traceback or a log shows, `table` writes docs/doctor.md's.
"""

from __future__ import annotations

import re
from collections import namedtuple

# Not typing's own: that module alone costs an interpreter 6 to 10 ms. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

__all__ = ["PROBLEMS", "Problem", "exceptions", "match", "table"]


class Problem(namedtuple("Problem", ("name", "patterns", "message", "releases", "cause", "remedy"))):
    """One problem."""

    __slots__ = ()
    #: A short name that stays.
    name: str
    #: Regular expressions, one of which the message contains; none where nothing is ever printed.
    patterns: Tuple[str, ...]
    #: How the message reads, shortened; or, in parentheses, what is seen where there is none.
    message: str
    #: Where it bites. TensorFlow's releases unless it says otherwise.
    releases: str
    #: Why.
    cause: str
    #: What to do.
    remedy: str


_LEGACY = (
    "on 2.11 to 2.15 use tf.keras.optimizers.legacy; from 2.16 on pip install tf_keras and set"
    " TF_USE_LEGACY_KERAS=1 before Python starts, and use it there"
)
_ONE_RULE = "write the update once as a kcompat.UpdateRule, and take kcompat.optimizer_class(Rule)"

#: The problems, those with the more particular messages first: the first row that fits an error is its.
PROBLEMS: Tuple[Problem, ...] = (
    Problem(
        "legacy-in-keras-3",
        (r"keras\.optimizers\.legacy` is not supported in Keras 3", r"\bLegacyOptimizerWarning\b"),
        "ImportError: `keras.optimizers.legacy` is not supported in Keras 3.",
        "2.16 and later; Keras 3",
        "tf.keras is Keras 3, which keeps `legacy` only as a placeholder that raises when it is constructed:"
        " importing from it succeeds, and hasattr finds it.",
        "Use a class of keras.optimizers, or kcompat.optimizers. To keep the old one, pip install tf_keras"
        " (of TensorFlow's minor version) and set TF_USE_LEGACY_KERAS=1 before Python starts.",
    ),
    Problem(
        "legacy-not-there-yet",
        (
            r"No module named '(tensorflow\.)?keras\.optimizers\.legacy'",
            r"cannot import name 'legacy' from '\S*keras\S*optimizers'",
            r"module '\S*keras\S*optimizers\S*' has no attribute 'legacy'",
        ),
        "ModuleNotFoundError: No module named 'tensorflow.keras.optimizers.legacy'",
        "1.13 to 2.8",
        "`tf.keras.optimizers.legacy` came with TensorFlow 2.9; before that the same classes are in"
        " tf.keras.optimizers.",
        "Import from tf.keras.optimizers here, or from kcompat.optimizers everywhere.",
    ),
    Problem(
        "experimental-optimizers",
        (
            r"No module named '(tensorflow\.)?keras\.optimizers\.experimental'",
            r"cannot import name 'experimental' from '\S*keras\S*optimizers'",
            r"module '\S*keras\S*optimizers\S*' has no attribute 'experimental'",
        ),
        "ModuleNotFoundError: No module named 'tensorflow.keras.optimizers.experimental'",
        "up to 2.8; 2.16 and later",
        "`tf.keras.optimizers.experimental` is there from 2.9 to 2.15 only; from 2.11 on it is what"
        " tf.keras.optimizers has.",
        "From 2.11 on import from tf.keras.optimizers; before 2.9 there is only OptimizerV2."
        " kcompat.optimizers"
        " has the classes on all of them.",
    ),
    Problem(
        "addons-internals",
        (r"No module named 'keras\.src\.engine'", r"tensorflow_addons/utils/types\.py"),
        "ModuleNotFoundError: No module named 'keras.src.engine'",
        "TensorFlow Addons on 2.16 and later",
        "TensorFlow Addons imports what Keras 2 had inside. It is no longer developed, and does not import"
        " with any TensorFlow from 2.16 on, TF_USE_LEGACY_KERAS=1 or not.",
        "Take its optimizers from kcompat.addons: the same names, arguments and numbers.",
    ),
    Problem(
        "addons-missing",
        (r"No module named 'tensorflow_addons'",),
        "ModuleNotFoundError: No module named 'tensorflow_addons'",
        "all",
        "TensorFlow Addons is not installed; it is no longer developed, and has no release for TensorFlow"
        " 2.16 and later.",
        "Take its optimizers from kcompat.addons: the same names, arguments and numbers.",
    ),
    Problem(
        "addons-ended",
        (r"TensorFlow Addons \(TFA\) has ended development",),
        "UserWarning: TensorFlow Addons (TFA) has ended development and introduction of new features. …",
        "TensorFlow Addons 0.19 and later",
        "TensorFlow Addons is no longer developed; its last release, 0.23, works up to 2.15, with optimizers"
        " derived from OptimizerV2 only.",
        "Nothing is wrong yet. Before 2.16 take its optimizers from kcompat.addons: the same names, arguments"
        " and numbers.",
    ),
    Problem(
        "tf-keras-missing",
        (r"No module named 'tf_keras'",),
        "ModuleNotFoundError: No module named 'tf_keras'",
        "2.15 and later",
        "The package tf_keras (Keras 2) is not installed, and the code, or TF_USE_LEGACY_KERAS=1, asks for"
        " it.",
        "pip install tf_keras of the same minor version as TensorFlow, or unset TF_USE_LEGACY_KERAS.",
    ),
    Problem(
        "keras-not-importable",
        (r"Keras cannot be imported\. Check that it is installed",),
        "ImportError: Keras cannot be imported. Check that it is installed.",
        "2.15 and later",
        "tf.keras could not import its Keras. It is not installed; or TF_USE_LEGACY_KERAS=1 asks for"
        " tf_keras,"
        " or KERAS_BACKEND for a backend, that is not.",
        "Run `kcompat doctor`, which says which of them it is; pip install that, or unset the variable.",
    ),
    Problem(
        "keras-legacy-interfaces",
        (r"No module named 'keras\.legacy'", r"cannot import name 'interfaces' from 'keras\.legacy'"),
        "ModuleNotFoundError: No module named 'keras.legacy'",
        "Keras 2.4 and later (keras-adamw, keras-radam and others)",
        "The module was standalone Keras' own, up to 2.3. Code written against it chooses the package"
        " `keras` of that time.",
        "Use kcompat.optimizers; keras-adamw itself runs up to TensorFlow 2.5 with TF_KERAS=1 set before"
        " it is"
        " imported.",
    ),
    Problem(
        "optimizer-v2-module",
        (
            r"No module named '[\w.]*keras[\w.]*\.optimizer_v[12]\b",
            r"cannot import name '(optimizer_v[12]|OptimizerV2)'",
            r"has no attribute 'optimizer_v[12]'",
        ),
        "ImportError: cannot import name 'optimizer_v2' from 'keras.optimizers'",
        "all: the module has moved at 2.6, 2.9 and 2.13, and is gone from Keras 3",
        "OptimizerV2's module is private to Keras and moves. `tensorflow.python.keras.optimizer_v2` still"
        " imports on 2.22, but from 2.6 on no model of tf.keras takes its classes.",
        "Name the class publicly: tf.keras.optimizers.Optimizer on 1.14 to 2.10; {}.".format(_LEGACY),
    ),
    Problem(
        "keras-private",
        (
            r"(cannot import name '\w+' from|No module named) '(keras|tf_keras)\.src\b",
            r"module 'keras\.src[\w.]*' has no attribute",
        ),
        "ImportError: cannot import name 'convert_to_tensor' from 'keras.src.backend'",
        "2.13 and later; Keras 3, and again in 3.16",
        "keras.src is private: there is none before 2.13, and Keras 3 moves names in it between releases.",
        "Use keras.ops and keras.Variable; in an update rule use `xp`, which kcompat keeps the same"
        " everywhere.",
    ),
    Problem(
        "train-optimizer",
        (
            r"cannot import name '\w*Optimizer' from 'tensorflow\S*train'",
            r"module 'tensorflow\S*train' has no attribute '\w*Optimizer'",
            r"module 'tensorflow' has no attribute '(Session|placeholder|get_variable"
            r"|global_variables_init\w*)'",
        ),
        "AttributeError: module 'tensorflow.train' has no attribute 'Optimizer'",
        "2.0 and later",
        "TensorFlow 1's names are in tf.compat.v1 since 2.0.",
        "Use tf.compat.v1.train.Optimizer, which every release from 1.13 on has, or kcompat.optimizers.tf1.",
    ),
    Problem(
        "no-adamw",
        (
            r"cannot import name 'AdamW' from '\S*keras\S*'",
            r"module '\S*keras\S*optimizers\S*' has no attribute 'AdamW'",
        ),
        "ImportError: cannot import name 'AdamW' from 'tensorflow.keras.optimizers'",
        "up to 2.11; `legacy` never has it",
        "tf.keras has AdamW from 2.12 on; 2.9 to 2.11 have it in `experimental`.",
        "from kcompat.optimizers import AdamW.",
    ),
    Problem(
        "register-serializable",
        (
            r"No module named 'tensorflow\.keras\.saving'",
            r"module '\S*keras\S*' has no attribute '(saving|register_keras_serializable)'",
            r"cannot import name 'register_keras_serializable'",
        ),
        "ModuleNotFoundError: No module named 'tensorflow.keras.saving'",
        "up to 2.11",
        "tf.keras.saving came with 2.12; tf.keras.utils.register_keras_serializable is there from 2.1 on.",
        "Use tf.keras.utils.register_keras_serializable; kcompat registers its classes by itself.",
    ),
    Problem(
        "decay",
        (
            r"\bdecay is deprecated in the new (Keras|TF-Keras) optimizer",
            r"Argument `decay` is no longer supported and will be ignored",
        ),
        "ValueError: decay is deprecated in the new Keras optimizer, please check the docstring …",
        "2.11 to 2.15 and tf_keras refuse it; Keras 3 warns and ignores it",
        "The argument `decay` (inverse-time decay of the learning rate) left Keras' optimizers at 2.11.",
        "Pass a schedule: tf.keras.optimizers.schedules.InverseTimeDecay(rate, decay_steps=1,"
        " decay_rate=decay)."
        " kcompat.optimizers take `decay` everywhere, as it was.",
    ),
    Problem(
        "lr",
        (
            r"Argument\(s\) not recognized: \{[^}]*'lr':",
            r"unexpected keyword argument 'lr'",
            r"`lr` is deprecated",
            r"'\w+' object has no attribute 'lr'",
        ),
        "ValueError: Argument(s) not recognized: {'lr': 0.0001}",
        "Keras 3 refuses it; 2.11 accepts and ignores it",
        "`lr` was the old name of `learning_rate`. In Keras 3 `optimizer.lr = …` sets an attribute that"
        " nothing"
        " reads.",
        "Write learning_rate=, also in saved configurations. kcompat.optimizers take `lr` everywhere.",
    ),
    Problem(
        "config-of-another-keras",
        (r"not recognized: \{[^}]*'(is_legacy_optimizer|jit_compile)'", r"optimizer: is_legacy_optimizer\b"),
        "ValueError: Argument(s) not recognized: {'is_legacy_optimizer': False}",
        "1.14 to 2.10 and Keras 3, with a configuration of 2.10 to 2.15",
        "get_config() of 2.10 to 2.15 has `is_legacy_optimizer` and `jit_compile`, which no other release"
        " takes.",
        "Remove both from the configuration before from_config. kcompat's configurations are the same"
        " everywhere.",
    ),
    Problem(
        "apply-gradients-arguments",
        (r"apply_gradients\(\) got an unexpected keyword argument '\w+'",),
        "TypeError: apply_gradients() got an unexpected keyword argument 'experimental_aggregate_gradients'",
        "up to 2.1, Keras 3 (`experimental_aggregate_gradients`); up to 2.10, Keras 3"
        " (`skip_gradients_aggregation`)",
        "OptimizerV2 has `experimental_aggregate_gradients` from 2.2 on, 2.9 brought"
        " `skip_gradients_aggregation` for the new optimizer, and Keras 3 has neither: it always sums the"
        " gradients of replicas.",
        "Leave the argument out; to sum the gradients yourself use"
        " tf.distribute.get_replica_context().all_reduce"
        " and an optimizer that does not sum again.",
    ),
    Problem(
        "learning-rate-type",
        (r"Argument `learning_rate` should be float, or an instance of LearningRateSchedule",),
        "ValueError: Argument `learning_rate` should be float, or an instance of LearningRateSchedule …",
        "Keras 3",
        "Keras 3 takes a float, a schedule of its own or a callable: no int, no tensor, no variable, no"
        " schedule"
        " of another Keras, and no first argument that is something else (older classes took the name"
        " there).",
        "Pass float(rate) and schedules of the Keras that the optimizer is of. kcompat.optimizers take all"
        " of them.",
    ),
    Problem(
        "schedule-as-number",
        (
            r"created with a `LearningRateSchedule` object",
            r"float\(\) argument must be .* not '\w*(Decay|Schedule|Restarts)\w*'",
            r"'\w*(Decay|Schedule|Restarts)\w*' object has no attribute '(numpy|assign|value|read_value)'",
            r'"?Optimizer"? must have a "?(lr|learning_rate)"? attribute',
        ),
        "TypeError: This optimizer was created with a `LearningRateSchedule` object …",
        "2.11 and later, Keras 3 (setting); up to 2.10 (reading as a number)",
        "A schedule computes the learning rate: it cannot be set. Up to 2.10 `optimizer.learning_rate` is the"
        " schedule itself, from 2.11 on its value.",
        "Take no schedule where a callback sets the rate. kcompat's optimizers give the value everywhere, and"
        " replace a schedule when they are set.",
    ),
    Problem(
        "unknown-variable",
        (
            r"optimizer cannot recognize variable",
            r"Unknown variable: <.*can only be called for the variables it was originally built with",
            r"Unknown variable: <",
            r"not recognized by the optimizer|is not recognizable by the optimizer",
        ),
        "KeyError: 'The optimizer cannot recognize variable kernel:0 …'",
        "2.9 and later, Keras 3",
        "The optimizer was built on one list of variables and is then called with another: a second model,"
        " layers unfrozen later, two parts trained in turn.",
        "Call optimizer.build(all_the_variables) before the first step, or make an optimizer for each model."
        " kcompat's optimizers take variables that come late.",
    ),
    Problem(
        "old-checkpoint",
        (
            r"restore a checkpoint from a legacy (Keras|TF-Keras) optimizer into a v2\.11\+",
            r"Unresolved object in checkpoint.*optimizer",
        ),
        "ValueError: You are trying to restore a checkpoint from a legacy Keras optimizer into a v2.11+ …",
        "2.11 to 2.15, tf_keras; Keras 3 and 2.4 to 2.10 say nothing, and begin again at step 0",
        "Optimizers of different APIs keep their state under different names in a checkpoint.",
        "Restore with the class that saved: {}. Check restores with"
        " assert_existing_objects_matched().".format(_LEGACY),
    ),
    Problem(
        "state-not-loaded",
        (
            r"loading the saved optimizer state\. As a result, your model is starting with a freshly",
            r"Skipping variable loading for optimizer '[^']*', because it has \d+ variables whereas",
            r"`set_weights\(weights\)` on optimizer \S+ with a\s+weight list of length",
        ),
        "Skipping variable loading for optimizer 'adam', because it has 2 variables whereas the saved …",
        "all",
        "The file has the state of another optimizer, API or number of variables, and Keras pairs both by"
        " position. Where this is a warning, the model is loaded and training begins again at step 0.",
        "Load with the class that saved, built on the same variables in the same order: {}. kcompat's"
        " optimizers tell state by variable name and shape.".format(_LEGACY),
    ),
    Problem(
        "refused-by-loss-scale",
        (
            r"[\"`']inner_optimizer[\"`'] must be an instance of",
            r"optimizer must be an instance of .*LossScaleOptimizer",
            r"has no attribute '(get_scaled_loss|get_unscaled_gradients|LossScaleOptimizer)'",
        ),
        'TypeError: "inner_optimizer" must be an instance of `tf.keras.optimizers.Optimizer` …',
        "all; 2.9 with the policy mixed_float16; Keras 3 (get_scaled_loss)",
        "A LossScaleOptimizer wraps optimizers of its own Keras only; up to 2.3 it is in"
        " mixed_precision.experimental. Keras 3's has scale_loss(loss) where Keras"
        " 2's have get_scaled_loss and get_unscaled_gradients.",
        "Wrap an optimizer of the same Keras; in Keras 3 call scale_loss and give apply_gradients the scaled"
        " gradients.",
    ),
    Problem(
        "wrapper-wants-legacy",
        (
            r"optimizer is not an object of tf\.keras\.optimizers(\.legacy)?\.Optimizer",
            r"has no attribute '_(aggregate_gradients|transform_unaggregated_gradients|create_all_weights)'",
            r"must be (an instance of|of type) .?(tf|tensorflow)\.keras\.optimizers\.legacy\.",
        ),
        "TypeError: optimizer is not an object of tf.keras.optimizers.legacy.Optimizer",
        "2.11 and later (TensorFlow Addons, Horovod, transformers and other wrappers)",
        "The wrapper knows OptimizerV2 only, and was given the newer optimizer.",
        "Give it one of tf.keras.optimizers.legacy (2.11 to 2.15, tf_keras), or of"
        " kcompat.optimizers.optimizer_v2."
        " Averages, lookahead and accumulation are in kcompat, on every API.",
    ),
    Problem(
        "get-updates",
        (r"'\w+' object has no attribute 'get_updates'",),
        "AttributeError: 'Adam' object has no attribute 'get_updates'",
        "2.11 and later, after disable_v2_behavior() or disable_eager_execution()",
        "Keras 2 trains in graphs through `get_updates`, which the optimizers of 2.11 and later do not have.",
        "Leave eager execution on, or use tf.keras.optimizers.legacy, or kcompat.optimizers.tf1.",
    ),
    Problem(
        "no-graph-training",
        (
            r"NotImplementedError: numpy\(\) is only available when eager execution is enabled",
            r"`?tf\.data\.Dataset`? only supports Python-style iteration in eager mode",
            r"The Session graph is empty|Fetch argument .*Variable.* has invalid type",
        ),
        "RuntimeError: `tf.data.Dataset` only supports Python-style iteration in eager mode …",
        "2.11 and later, after disable_eager_execution() or disable_v2_behavior()",
        "Optimizers of 2.11 to 2.15, and all of Keras 3, have no graphs with sessions.",
        "Leave eager execution on; for graphs and sessions use tf.compat.v1.train.Optimizer, or"
        " kcompat.optimizers.tf1.",
    ),
    Problem(
        "ref-variable",
        (r"float\d+_ref\b", r"'RefVariable' object has no attribute '(_unique_id|handle)'"),
        "AttributeError: 'RefVariable' object has no attribute 'handle'",
        "all, with Keras' optimizers",
        "The variable is a reference variable (TensorFlow 1's default), which only tf.train's optimizers"
        " update.",
        "Make it with use_resource=True or call tf.compat.v1.enable_resource_variables(), or use"
        " kcompat.optimizers.tf1.",
    ),
    Problem(
        "update-step-arguments",
        (r"update_step\(\) (takes \d+ positional arguments? but|missing \d+ required positional)",),
        "TypeError: MyOptimizer.update_step() takes 3 positional arguments but 4 were given",
        "classes of 2.9 to 2.15 on Keras 3, or the other way round",
        "Keras 2.11 calls update_step(gradient, variable), Keras 3 update_step(gradient, variable,"
        " learning_rate).",
        "Write the arguments that this Keras gives; or {}.".format(_ONE_RULE),
    ),
    Problem(
        "old-hooks",
        (
            r"has no attribute '(_set_hyper|_get_hyper|_serialize_hyperparameter|_decayed_lr|add_slot"
            r"|_create_slots"
            r"|_create_hypers|_prepare_local|_hyper|_fallback_apply_state)'",
        ),
        "AttributeError: 'MyOptimizer' object has no attribute '_set_hyper'",
        "classes of 1.14 to 2.10 on 2.11 and later",
        "The class is written for OptimizerV2, whose methods the base class here does not have."
        " (`_create_slots`"
        " is missing from OptimizerV2 itself before 2.2: define it, and do not call super's.)",
        "Derive from OptimizerV2: {}. Or {}.".format(_LEGACY, _ONE_RULE),
    ),
    Problem(
        "new-hooks",
        (
            r"has no attribute '(add_variable_from_reference|_build_learning_rate|_index_dict|_var_key"
            r"|add_optimizer_variables|_get_variable_index|_overwrite_variable_with_gradient"
            r"|_learning_rate)'",
        ),
        "AttributeError: 'MyOptimizer' object has no attribute '_build_learning_rate'",
        "classes of 2.11 to 2.15 or of Keras 3 on another of these, or on an older release",
        "The methods and attributes of `keras_2_11` and Keras 3 optimizers differ: Keras 2.11's"
        " constructor sets"
        " self._learning_rate = self._build_learning_rate(learning_rate), Keras 3's takes learning_rate"
        " itself.",
        "In Keras 3 pass learning_rate= to super().__init__; on 2.11 to 2.15 set self._learning_rate. Or"
        " {}.".format(_ONE_RULE),
    ),
    Problem(
        "no-build",
        (r"'\w+' object has no attribute 'build'",),
        "AttributeError: 'Adam' object has no attribute 'build'",
        "2.13 and later",
        "A model that was saved with OptimizerV2 is loaded from a .keras file, whose reader expects the newer"
        " optimizer. On an M1 or M2 Mac, Keras 2.11 to 2.15 takes OptimizerV2 by itself.",
        "Load with compile=False and compile again; or save as HDF5 with OptimizerV2, whose state the .keras"
        " format does not keep.",
    ),
    Problem(
        "weights-methods",
        (r"'\w+' object has no attribute '(get|set)_weights'",),
        "AttributeError: 'Adam' object has no attribute 'get_weights'",
        "2.9 and later, Keras 3 (set_weights is back from 2.11 on)",
        "Optimizers have get_weights up to OptimizerV2 only.",
        "Use [variable.numpy() for variable in optimizer.variables]. kcompat's optimizers have both"
        " everywhere.",
    ),
    Problem(
        "variables-called",
        (r"'(list|ListWrapper|TrackedList)' object is not callable", r"'method' object is not iterable"),
        "optimizer.variables(): TypeError: 'list' object is not callable",
        "2.9, Keras 3 (called); up to 2.11 (not called)",
        "`variables` is a method up to 2.8 and in 2.10 and 2.11, a list in 2.9 and Keras 3, and both in"
        " 2.12 to"
        " 2.15.",
        "Use variables() if callable(optimizer.variables). The variables of kcompat's optimizers take both.",
    ),
    Problem(
        "minimize-missing",
        (r"'\w+' object has no attribute '(minimize|compute_gradients)'",),
        "AttributeError: 'Adam' object has no attribute 'minimize'",
        "Keras 3",
        "Keras 3's optimizers compute no gradients.",
        "Use tf.GradientTape and optimizer.apply_gradients. kcompat's optimizers have minimize on"
        " TensorFlow.",
    ),
    Problem(
        "base-constructor",
        (
            r"__init__\(\) missing 1 required positional argument: '(learning_rate|name)'",
            r"forgot to call `super\(\)\.__init__\(\)` as the first statement",
        ),
        "TypeError: BaseOptimizer.__init__() missing 1 required positional argument: 'learning_rate'",
        "Keras 3 (learning_rate); OptimizerV2, 2.11 to 2.15 (name)",
        "super().__init__ takes (learning_rate, name=…) in Keras 3 and (name, …) in the older ones."
        " Keras 3 also"
        " refuses attributes that are set before it is called.",
        "Call it first, with keywords; or {}.".format(_ONE_RULE),
    ),
    Problem(
        "abstract-class",
        (r"Can't instantiate abstract class \w+ (with|without) .*(get_config|get_updates|apply_dense)",),
        "TypeError: Can't instantiate abstract class MyOptimizer with abstract methods get_config",
        "1.14 to 2.4",
        "OptimizerV2 demands a get_config up to 2.4.",
        "Define get_config, which returns super().get_config() with your hyperparameters added.",
    ),
    Problem(
        "not-recognized-argument",
        (
            r"Argument\(s\) not recognized: ",
            r"Unexpected keyword argument passed to optimizer: ",
            r"is not a valid argument, kwargs should be empty",
        ),
        "TypeError: Unexpected keyword argument passed to optimizer: weight_decay",
        "all",
        "The constructor does not have the argument here: weight_decay and use_ema came with 2.11 and AdamW,"
        " global_clipnorm with 2.4, loss_scale_factor and gradient_accumulation_steps with Keras 3.",
        "Leave it out, or correct it. kcompat.optimizers take all of Keras 3's arguments everywhere.",
    ),
    Problem(
        "unknown-on-load",
        (
            r"Unknown optimizer: ",
            r"Could not locate class '",
            r"Could not locate function '",
        ),
        "ValueError: Unknown optimizer: MyOptimizer",
        "all",
        "The file names a class that this process does not know: it is not registered, its module is not"
        " imported,"
        " or it is registered with another Keras.",
        "Pass custom_objects={'MyOptimizer': MyOptimizer}, or decorate it with"
        " register_keras_serializable() and"
        " import its module first; or load with compile=False.",
    ),
    Problem(
        "not-interpreted",
        (r"Could not interpret optimizer identifier",),
        "ValueError: Could not interpret optimizer identifier: <MyOptimizer object at 0x…>",
        "all",
        "The optimizer's class derives from another Keras than the model's: `keras`, `tf.keras`,"
        " `tensorflow.python.keras` and `tf_keras` may be four packages. Keras 3 does not take"
        " tf.compat.v1.train's"
        " either.",
        "Import optimizer and model from one package, the private tensorflow.python.keras from nowhere."
        " `kcompat"
        " doctor MODULE:CLASS` tells which package the class is of.",
    ),
    Problem(
        "variables-in-function",
        (
            r"tf\.function-decorated function tried to create variables on non-first call",
            r"tf\.function only supports singleton tf\.Variables created on the first call",
        ),
        "ValueError: tf.function only supports singleton tf.Variables created on the first call.",
        "1.15 and later",
        "An optimizer makes its slots at its first step. Where that is not the first call of the"
        " tf.function (a"
        " second optimizer, an optimizer made inside), TensorFlow refuses.",
        "Make optimizers outside, and call build(variables) (2.9 and later) or take one step before; or"
        " have a"
        " tf.function for each optimizer. kcompat's optimizers have build everywhere.",
    ),
    Problem(
        "outside-strategy",
        (
            r"cannot be called in cross-replica context",
            r"Use `_distributed_apply\(\)` instead of `apply_gradients\(\)`",
            r"'NoneType' object has no attribute 'merge_call'",
        ),
        "RuntimeError: `apply_gradients() cannot be called in cross-replica context.",
        "all, under tf.distribute",
        "apply_gradients is called outside the replicas.",
        "Call it in the function that strategy.run(…) is given, and make the optimizer in strategy.scope().",
    ),
    Problem(
        "fit-on-several-workers",
        (r"Attempt to convert a value \(PerReplica:\{",),
        "ValueError: Attempt to convert a value (PerReplica:{…}) with an unsupported type to a Tensor.",
        "Keras 3, under MultiWorkerMirroredStrategy with several workers",
        "Keras 3's fit makes a tensor of the first batch, of which each worker has a part, before it takes a"
        " step. It does so whatever the optimizer.",
        "Write a loop around strategy.run(…), as examples/scaling/multi_worker.py does, or train with Keras 2"
        " (tf_keras).",
    ),
    Problem(
        "no-gradients",
        (r"No gradients provided for any variable",),
        "ValueError: No gradients provided for any variable.",
        "all",
        "Every gradient is None: the loss does not depend on the variables, was computed outside the"
        " tape, or went"
        " through NumPy.",
        "Compute the loss inside the tape, of TensorFlow operations, and check which gradients are None.",
    ),
    Problem(
        "nothing-updates",
        (r"NotImplementedError: Must be implemented in subclasses",),
        "NotImplementedError: Must be implemented in subclasses.",
        "up to 2.10, with a class written for 2.11 or Keras 3",
        "The class has none of the methods that this release calls: it calls _resource_apply_dense and"
        " _resource_apply_sparse.",
        "Derive from the class of the API that it is written for; `kcompat doctor MODULE:CLASS` tells"
        " which. Or"
        " {}.".format(_ONE_RULE),
    ),
    Problem(
        "slow-on-mac",
        (r"runs slowly on M1/M2 Macs",),
        "WARNING: At this time, the v2.11+ optimizer `tf.keras.optimizers.Adam` runs slowly on M1/M2 Macs …",
        "2.11 to 2.15, tf_keras, on Apple's processors",
        "The warning is Keras' own; it then takes OptimizerV2 where the optimizer was given by name.",
        "Use tf.keras.optimizers.legacy as it says, and save as HDF5; or leave it, and pass an instance.",
    ),
    Problem(
        "sparse-to-dense",
        (r"Converting sparse IndexedSlices.* to a dense Tensor",),
        "UserWarning: Converting sparse IndexedSlices to a dense Tensor of unknown shape.",
        "2.11 and later, Keras 3: slower than before; up to 2.10 where a rule densifies",
        "Adam of 2.11 and later moves every row of an embedding, and XLA (jit_compile) has no sparse"
        " gradients.",
        "Use a rule that touches only the rows that occur: kcompat.addons.LazyAdam.",
    ),
    Problem(
        "backend-missing",
        (r"No module named '(jax|torch)'",),
        "ModuleNotFoundError: No module named 'jax'",
        "Keras 3",
        "KERAS_BACKEND, or ~/.keras/keras.json, names a backend that is not installed.",
        "Install it, or set KERAS_BACKEND to one that is here before Keras is imported.",
    ),
    Problem(
        "no-tensorflow",
        (r"No module named 'tensorflow'",),
        "ModuleNotFoundError: No module named 'tensorflow'",
        "all",
        "TensorFlow is not installed in this Python.",
        "pip install tensorflow in the environment that runs this; without it, pip install keras and jax"
        " or torch.",
    ),
    Problem(
        "no-keras",
        (r"No module named 'keras'",),
        "ModuleNotFoundError: No module named 'keras'",
        "1.13 to 2.4 (tf.keras is part of TensorFlow there)",
        "The package keras is not installed, and the code imports it.",
        "Import tensorflow.keras: `keras` would be another package there, whose models do not take tf.keras'"
        " optimizers.",
    ),
    Problem(
        "rate-per-layer",
        (),
        "(nothing: each layer trains at the same rate)",
        "all",
        "Keras has one learning rate. Multiplying gradients instead has no effect on Adam, which divides"
        " it out.",
        "Multiply the update, not the gradient: a transform of kcompat.transforms around the rule.",
    ),
    Problem(
        "graph-without-effect",
        (),
        "(nothing: the step counts, the variables stay as they are)",
        "2.11 to 2.15 and tf_keras, in a v1 graph and session",
        "apply_gradients returns only the step's increment there.",
        "Use tf.keras.optimizers.legacy, or kcompat's optimizers, which update.",
    ),
)

# An object whose class is called as optimizers are.
_AN_OPTIMIZER = (
    r"'(SGDW?|RMSprop|N?Adam\w*|R(ectified)?Adam|Adagrad|Adadelta|Ftrl|Lion|LAMB|Lamb|Muon|\w*Optimizer\w*)'"
    r" object has no attribute"
)
# Messages that anything may give: what the text around them has to speak of, source lines included.
_CONTEXT = {
    "minimize-missing": r"(?i)\bopt\w*\.(minimize|compute_gradients)|" + _AN_OPTIMIZER,
    "no-build": r"(?i)load_model|saving_lib|optimi[sz]er\S*\.build|" + _AN_OPTIMIZER,
    "variables-called": r"(?i)\bopt\w*\.(variables|weights)\b",
    "weights-methods": r"(?i)\bopt\w*\.(get|set)_weights|" + _AN_OPTIMIZER,
}
# Errors that stand for another one, which may be in the same chain.
_VAGUE = ("keras-not-importable",)


def exceptions(text: str) -> List[str]:
    """Split a traceback or a log into what it says, without the source lines it quotes.

    Returns the texts in which a message may be, the one to look at first at the front: the last exception of
    a chain is what the user met; then those before it, newest first.
    """
    parts: List[List[str]] = [[]]
    quoted = False  # the line before names a file and line: this one is source code
    for line in text.splitlines():
        line = re.sub(r"^E\s{2,}|\x1b\[[0-9;]*m", "", line)  # pytest's, and colours
        if re.match(r"\s*(\+ )?(Exception Group )?Traceback \(most recent call last\)", line) or re.match(
            r"\s*(During handling of the above exception|The above exception was the direct cause)", line
        ):
            parts.append([])
            quoted = False
        elif re.match(r"\s*File \"[^\"]*\", line \d+|\s+\S+\.py:\d+ \S+", line):
            quoted = True
        elif quoted and line[:1].isspace():
            # Python 3.11 marks the place on a line of its own; TensorFlow indents messages as well.
            quoted = bool(re.match(r"\s*[\^~*]*\s*$", line))
        elif not re.match(r"\s*[\^~]+\s*$", line):
            quoted = False
            parts[-1].append(line)
    joined = [" ".join(" ".join(part).split()) for part in parts]
    return [part for part in reversed(joined) if part]


def match(text: str) -> List[Problem]:
    """Return the problems that a traceback, an error's message or a log shows, the likeliest first.

    One for each exception of a chain at most, and none where nothing is known: there is no guess.
    """
    found: List[Problem] = []
    for part in exceptions(text):
        for problem in PROBLEMS:
            around = _CONTEXT.get(problem.name)
            if any(re.search(pattern, part) for pattern in problem.patterns) and (
                around is None or re.search(around, text)
            ):
                if problem not in found:
                    found.append(problem)
                break
    # A wrapper of another error says less than the one that it wraps: a stable sort puts it last.
    return sorted(found, key=lambda each: each.name in _VAGUE)


def table() -> str:
    """Return the table of docs/doctor.md, as Markdown."""
    rows = ["| Message | Where | Cause | What to do |", "|---|---|---|---|"]
    for each in PROBLEMS:
        message = each.message.replace("`", "") if each.patterns else each.message
        message = "`{}`".format(message) if each.patterns else message
        cells = [message, each.releases, each.cause, each.remedy]
        rows.append("| {} |".format(" | ".join(cell.replace("|", "\\|") for cell in cells)))
    return "\n".join(rows) + "\n"
