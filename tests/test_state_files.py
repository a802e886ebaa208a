"""State in files and its description: written whole or not at all, damage is told, nothing is unpickled."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import zipfile

import _package
import numpy as np
import pytest
from _apis import APIS

import kcompat
from kcompat import state
from kcompat.cli import main
from kcompat.state import LazyArray, State, VariableSlots

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as arrays  # noqa: E402

ENDINGS = (".safetensors", ".npz")
both = pytest.mark.parametrize("ending", ENDINGS)
# What needs no framework has the environments without one.
ALONE = pytest.mark.skipif(
    bool(APIS), reason="what needs no API is tested in the environments that have none"
)


def example(count=3, seed=0, size=6):
    generator = np.random.RandomState(seed)
    variables = [
        VariableSlots(
            "layer_{}/kernel".format(i),
            (size, 4),
            "float32",
            {"m": generator.randn(size, 4).astype("float32"), "row": generator.randn(size)},
        )
        for i in range(count)
    ]
    return State(
        "Adam",
        {"learning_rate": 0.1, "schedule": None},
        1000,
        State.keyed(variables),
        {"mu_product": np.float32(0.25)},
        {"layer_0/kernel": np.arange(4)},
        "a test",
        {"m": state.LEARNING_RATE_OUTSIDE},
    )


# The description.


def test_a_state_is_not_changed():
    saved = example()
    with pytest.raises(AttributeError, match="replace"):
        saved.step = 3
    other = saved.replace(step=3)
    assert (saved.step, other.step) == (1000, 3)
    assert saved != other and saved.diff(other) == ["step: 1000, other 3"]
    assert pickle.loads(pickle.dumps(saved)) == saved


def test_several_of_one_name_have_keys_of_their_own():
    slots = [VariableSlots(name, (2,), "float32", {}) for name in ("w", "w", "w#2", "w")]
    assert list(State.keyed(slots)) == ["w", "w#3", "w#2", "w#4"]
    assert len(set(State.keyed(slots))) == 4


def test_an_unknown_convention():
    with pytest.raises(kcompat.StateError, match="learning_rate_outside"):
        State(convention={"m": "inside out"})


def test_diff_says_everything():
    one, other = example(), example(seed=1)
    variables = dict(other.variables)
    del variables["layer_2/kernel"]
    variables["layer_1/kernel"] = VariableSlots("layer_1/kernel", (2, 4), "float32", {"m": np.zeros((2, 4))})
    found = "\n".join(one.diff(other.replace(variables=variables, config={"learning_rate": 0.2}, shared={})))
    for expected in (
        "learning_rate: 0.1, other 0.2",
        "layer_2/kernel: only in this",
        "layer_1/kernel: m: shape (6, 4), other (2, 4)",
        "layer_1/kernel: row: only in this",
        "layer_0/kernel: m: 24 of 24 values differ",
        "shared mu_product: only in this",
    ):
        assert expected in found
    near = one.variables["layer_0/kernel"].slots["m"] * np.float32(1 + 1e-6)
    slots = dict(one.variables["layer_0/kernel"].slots, m=near)
    close = dict(one.variables)
    close["layer_0/kernel"] = VariableSlots("layer_0/kernel", (6, 4), "float32", slots)
    assert one.diff(one.replace(variables=close)) and not one.diff(one.replace(variables=close), rtol=1e-5)


def test_a_lazy_array_is_read_when_it_is_asked_for():
    reads = []

    def read():
        reads.append(1)
        return np.ones((2, 3), "float32")

    lazy = LazyArray((2, 3), "float32", read)
    assert (lazy.nbytes, lazy.size, lazy.ndim, reads) == (24, 6, 2, [])
    assert np.array_equal(lazy, np.ones((2, 3))) and len(reads) == 1
    assert (lazy * 2).sum() == 12 and np.mean(2 + lazy) == 3 and lazy[1, 2] == 1 and len(lazy) == 2
    assert np.sqrt(lazy).dtype == np.float32 and isinstance(lazy - lazy, np.ndarray)
    assert lazy.map(lambda a: a * 2).dtype == np.float32
    with pytest.raises(kcompat.StateError, match="announced"):
        np.asarray(LazyArray((3, 2), "float32", read))


# Files.


@both
def test_saved_and_loaded(ending, tmp_path):
    saved = example()
    saved.save(str(tmp_path / ("s" + ending)))
    told = []
    found = state.load(tmp_path / ("s" + ending), lambda done, total: told.append((done, total)))
    assert found == saved and found.origin == saved.origin and str(found) == str(saved)
    assert told[-1][0] == told[-1][1] == os.path.getsize(str(tmp_path / ("s" + ending)))
    # The same state makes the same file.
    found.save(tmp_path / ("t" + ending))
    assert (tmp_path / ("s" + ending)).read_bytes() == (tmp_path / ("t" + ending)).read_bytes()
    # And a file may be replaced by what is read of it.
    found.save(tmp_path / ("s" + ending))
    assert state.load(tmp_path / ("s" + ending)) == saved == found


SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
DTYPES = st.sampled_from(["float16", "float32", "float64", "int64", "int8", "uint8", "bool", ">f4"])
ARRAYS = st.tuples(DTYPES, SHAPES).flatmap(lambda pair: arrays.arrays(*pair))
TEXT = st.text(min_size=0, max_size=8)
STATES = st.builds(
    lambda variables, shared, step, config, origin: State(
        "Adam",
        config,
        step,
        State.keyed([VariableSlots(name, (2,), "float32", slots) for name, slots in variables]),
        shared,
        None,
        origin,
    ),
    st.lists(st.tuples(TEXT, st.dictionaries(TEXT, ARRAYS, max_size=2)), max_size=3),
    st.dictionaries(TEXT.filter(bool), ARRAYS, max_size=2),
    st.one_of(st.none(), st.integers(0, 2**40)),
    st.dictionaries(TEXT, st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), TEXT), max_size=2),
    TEXT,
)


@ALONE
@both
def test_any_state_comes_back(ending, tmp_path):
    path = str(tmp_path / ("s" + ending))

    @settings(max_examples=40, deadline=None)
    @given(STATES)
    def check(saved):
        saved.save(path)
        found = state.load(path)
        assert found == saved, found.diff(saved)

    check()


def damaged(data, generator):
    """Data after a bit has flipped, it was cut, bytes were overwritten, put in or left out."""
    changed = bytearray(data)
    way = generator.randrange(5)
    at = generator.randrange(len(data))
    if way == 0:
        changed[at] ^= 1 << generator.randrange(8)
    elif way == 1:
        del changed[at:]
    elif way == 2:
        for _ in range(generator.randrange(1, 9)):
            changed[generator.randrange(len(data))] = generator.randrange(256)
    elif way == 3:
        changed[at:at] = bytes(generator.randrange(256) for _ in range(generator.randrange(1, 9)))
    else:
        del changed[at : at + generator.randrange(1, 9)]
    return bytes(changed)


@ALONE
@both
def test_damage_is_told(ending, tmp_path):
    path = tmp_path / ("s" + ending)
    example().save(path)
    data, generator = path.read_bytes(), random.Random(7)
    for _ in range(600):
        changed = damaged(data, generator)
        if changed != data:
            path.write_bytes(changed)
            said = "damaged|no file of state|does not end|no description"
            with pytest.raises(kcompat.StateError, match=said):
                state.load(path)


@both
def test_other_files(ending, tmp_path):
    path = tmp_path / ("s" + ending)
    contents = [b"", b"PK\x03\x04", os.urandom(100), b"\xff" * 64, b"\x89HDF\r\n\x1a\n" + bytes(200)]
    contents.append(np.uint64(2).tobytes() + b"[]")
    contents.append(np.uint64(2).tobytes() + b"{}")
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(kcompat.StateError, match="state"):
            state.load(path)
    with pytest.raises(OSError):
        state.load(tmp_path / "none.npz")


def test_a_pickle_in_a_zip_file_is_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(str(tmp_path / "s.npz"), description=np.array([Trap()], dtype=object))
    with pytest.raises(kcompat.StateError):
        state.load(tmp_path / "s.npz")
    # Also with a checksum that is right.
    from kcompat.state.files import _BLANK, _checksum_text

    with zipfile.ZipFile(str(tmp_path / "s.npz"), "a") as archive:
        archive.comment = _BLANK
    import zlib

    data = (tmp_path / "s.npz").read_bytes()
    (tmp_path / "s.npz").write_bytes(data[: -len(_BLANK)] + _checksum_text(zlib.crc32(data)))
    with pytest.raises(kcompat.StateError):
        state.load(tmp_path / "s.npz")
    assert not (tmp_path / "sprung").exists()


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    """A header that announces terabytes, with a checksum that is right."""
    import zlib

    from kcompat.state.files import _BLANK, _checksum_text

    path = tmp_path / "s.safetensors"
    example().save(path)
    data = path.read_bytes()
    length = int(np.frombuffer(data[:8], "<u8")[0])
    header = json.loads(data[8 : 8 + length].decode())
    name = next(key for key in header if key.startswith("slots/"))
    huge = [2**40, 2**10], [0, 2**52]
    for shape, offsets in (huge, ([-1], [0, 96]), ([6, 4], [0, 97]), ([True], [0, 4])):
        header[name].update(shape=shape, data_offsets=offsets)
        header["__metadata__"]["checksum"] = _BLANK.decode()
        encoded = json.dumps(header).encode()
        content = np.uint64(len(encoded)).tobytes() + encoded + data[8 + length :]
        path.write_bytes(content.replace(_BLANK, _checksum_text(zlib.crc32(content)), 1))
        with pytest.raises(kcompat.StateError, match="makes no sense|should have"):
            state.load(path)
    path.write_bytes(np.uint64(2**62).tobytes() + b"{}")
    with pytest.raises(kcompat.StateError, match="no file of state"):
        state.load(path)


def test_what_others_wrote(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"w": np.ones(3)}, str(tmp_path / "w.safetensors"))
    with pytest.raises(kcompat.StateError, match="no description"):
        state.load(tmp_path / "w.safetensors")
    saved = example()
    saved.save(tmp_path / "s.safetensors")
    found = safetensors.load_file(str(tmp_path / "s.safetensors"))
    assert np.array_equal(found["slots/layer_1/kernel/m"], saved.variables["layer_1/kernel"].slots["m"])
    np.savez(str(tmp_path / "w.npz"), w=np.ones(3))
    with pytest.raises(kcompat.StateError, match="does not end"):
        state.load(tmp_path / "w.npz")
    saved.save(tmp_path / "s.npz")
    with np.load(str(tmp_path / "s.npz")) as found:
        assert np.array_equal(found["slots/layer_1/kernel/m"], saved.variables["layer_1/kernel"].slots["m"])


def test_what_can_not_be_saved(tmp_path):
    with pytest.raises(kcompat.StateError, match=".safetensors or .npz"):
        example().save(tmp_path / "s.pkl")
    odd = example().replace(shared={"x": np.zeros(2, "complex64")})
    with pytest.raises(kcompat.StateError, match="complex64"):
        odd.save(tmp_path / "s.npz")
    with pytest.raises(kcompat.StateError, match="JSON"):
        example().replace(config={"x": object()}).save(tmp_path / "s.npz")
    assert os.listdir(str(tmp_path)) == []


@both
def test_a_save_that_fails_leaves_the_old_file(ending, tmp_path):
    path = tmp_path / ("s" + ending)
    example().save(path)
    before = path.read_bytes()

    def fail():
        raise RuntimeError("the device is gone")

    broken = VariableSlots("z", (4,), "float32", {"m": LazyArray((4,), "float32", fail)})
    with pytest.raises(RuntimeError, match="device"):
        example().replace(variables=dict(example().variables, z=broken)).save(path)
    assert path.read_bytes() == before and os.listdir(str(tmp_path)) == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links are POSIX")
def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "there").mkdir()
    real, link = tmp_path / "there" / "s.npz", tmp_path / "s.npz"
    example().save(real)
    os.chmod(str(real), 0o640)
    link.symlink_to(real)
    example(seed=1).save(link)
    assert link.is_symlink() and state.load(real) == example(seed=1)
    assert os.stat(str(real)).st_mode & 0o777 == 0o640


SAVER = """
import sys
import numpy as np
from kcompat.state import State, VariableSlots
path = sys.argv[1]
print("ready", flush=True)
for i in range(10**6):
    slots = {"m": np.full((64, 1024), i, "float32"), "v": np.full((64, 1024), i, "float32")}
    State("Adam", {}, i, State.keyed([VariableSlots("w", (64, 1024), "float32", slots)])).save(path)
"""


@ALONE
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
@both
def test_a_save_that_is_killed(ending, tmp_path):
    """The old file or the new one is there, whole; and what was left beside it goes with the next save."""
    path, generator = tmp_path / ("s" + ending), random.Random(1)
    example().save(path)
    times = int(os.environ.get("KCOMPAT_TEST_KILLS", "10"))
    for _ in range(times):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        command = [sys.executable, "-c", SAVER.replace("kcompat", _package.NAME), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        process.stdout.readline()
        time.sleep(generator.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = state.load(path)
        for variable in found.variables.values():
            if variable.name == "w":
                assert all(np.all(np.asarray(array) == found.step) for array in variable.slots.values())
    example().save(path)
    assert os.listdir(str(tmp_path)) == [path.name]


# The command line.


def cli(capsys, *arguments):
    status = main(["state", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_line(tmp_path, capsys):
    one, other = tmp_path / "a.npz", tmp_path / "b.safetensors"
    example().save(one)
    status, out, _ = cli(capsys, "show", one, "--values")
    assert status == 0 and "rule    Adam" in out and "layer_2/kernel" in out and "1000" in out
    assert cli(capsys, "convert", one, other)[0] == 0
    assert state.load(other) == example()
    assert cli(capsys, "diff", one, other)[:2] == (0, "no difference\n")
    example(seed=1).save(other)
    status, out, _ = cli(capsys, "diff", one, other)
    assert status == 1 and "layer_0/kernel: m" in out
    assert cli(capsys, "diff", one, other, "--rtol", "1e9")[0] == 0
    one.write_bytes(one.read_bytes()[:-3])
    status, out, err = cli(capsys, "show", one)
    assert (status, out) == (2, "") and "a.npz" in err
    assert cli(capsys, "show", tmp_path / "none.npz")[0] == 2
    assert cli(capsys)[0] == 2


@pytest.mark.wide
def test_no_framework_is_imported(tmp_path):
    example().save(tmp_path / "a.npz")
    code = (
        "import sys, kcompat.state, kcompat.cli\n"
        "assert kcompat.cli.main(['state', 'show', {!r}]) == 0\n"
        "assert not set(sys.modules) & {{'tensorflow', 'keras', 'jax', 'torch', 'safetensors'}}\n"
    ).format(str(tmp_path / "a.npz"))
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-c", code.replace("kcompat", _package.NAME)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
