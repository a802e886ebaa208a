"""Build the example library with a copy of this checkout's package, and install it, for its tests to run on.

A library's repository has the copy in it. Here it would be stale with the next commit, so it is made.
"""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = "undertow"
LEAVE = shutil.ignore_patterns("kcompat", "build", "dist", "*.egg-info", "*cache*", ".tox")


def main(folder):
    folder = pathlib.Path(folder)
    source, output = folder / "source", folder / "dist"
    for each in (source, output):
        if each.exists():
            shutil.rmtree(str(each))
    shutil.copytree(str(ROOT / "examples" / NAME), str(source), ignore=LEAVE)
    vendor = source / "src" / NAME / "_vendor"
    for option in ("--force", "--check"):
        run(sys.executable, "-m", "kcompat", "vendor", str(vendor), option, cwd=str(ROOT))
    # First the sdist, and the wheel from that: both are tested. uv is tox-uv's.
    run("uv", "build", "--quiet", "--out-dir", str(output), str(source))
    (wheel,) = output.glob("*.whl")
    install = ["uv", "pip", "install", "--quiet", "--python", sys.executable]
    run(*install, "--reinstall-package", NAME, str(wheel))
    # What the wheel was made of is not to be found by its tests, nor an installed kcompat.
    shutil.rmtree(str(source / "src"))
    absent = "import importlib.util as u; assert u.find_spec('kcompat') is None, 'kcompat is installed here'"
    run(sys.executable, "-I", "-c", absent)


def run(*command, **options):
    subprocess.check_call(command, **options)


if __name__ == "__main__":
    main(sys.argv[1])
