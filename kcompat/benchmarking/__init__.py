"""Measures optimizers against the ones that are installed: what `kcompat bench` runs.

`cells` says what is measured and which target each cell has, `workloads` makes one step of one of them,
`job` measures one cell in a process of its own, `report` writes what was found.
"""
