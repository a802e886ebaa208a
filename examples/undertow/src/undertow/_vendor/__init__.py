"""Other projects' code, as it is there. `kcompat` is written here by `python -m kcompat vendor`."""
