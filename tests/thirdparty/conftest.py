"""The packages of other people are in the environments `thirdparty` alone; elsewhere nothing is collected."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("keras_radam") else ["test_packages.py"]
