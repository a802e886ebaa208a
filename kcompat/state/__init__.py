"""Optimizer state as data: taken from any optimizer, put into any other, saved to and read from files."""
