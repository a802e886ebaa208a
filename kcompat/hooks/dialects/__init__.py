"""The protocols that optimizers were written against, one file for each generation, on any host."""
