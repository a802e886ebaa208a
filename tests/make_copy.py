"""Make a library `mylib` in a folder, with a copy of this checkout's package, for the tests to run on."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main(folder):
    dest = pathlib.Path(folder) / "mylib" / "_vendor"
    dest.mkdir(parents=True, exist_ok=True)
    for package in (dest, dest.parent):
        (package / "__init__.py").touch()
    for option in ("--force", "--check"):
        subprocess.check_call([sys.executable, "-m", "kcompat", "vendor", str(dest), option], cwd=str(ROOT))


if __name__ == "__main__":
    main(sys.argv[1])
