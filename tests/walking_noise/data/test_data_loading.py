"""Loading, status and download of data sets, and the messages for missing or damaged files."""

from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
from torchvision import datasets

from walking_noise import data
from walking_noise.data import PublishedImages, sets
from walking_noise.data.data_files import Files
from walking_noise.data.sets import cifar10, mnist
from walking_noise.errors import ConfigError, DataMissing

MNIST_FILES = tuple(mnist.DATA_SET.sha256)

SQUARES = '''
"""Twenty small images in files as those of MNIST, in the download folder and in a package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from walking_noise.data import ImageTransform, PublishedImages
from walking_noise.data.images import idx_format
from walking_noise.data.images.published_images import torchvision_download

reads = []

def decode(files):
    reads.append(files.folder)
    return idx_format.decode_files(files)

DATA_SET = PublishedImages(
    name="squares",
    shape=(1, 3, 3),
    classes=2,
    transforms={"release": ImageTransform()},
    sha256=SHA256,
    folders=("MNIST/raw", Path(PACKAGED)),
    decode=decode,
    download=torchvision_download("MNIST"),
    package="apt-get install squares",
)
'''


def idx_file(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def square_files() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    arrays = (
        random.integers(0, 256, (20, 3, 3)),
        np.arange(20) % 2,
        random.integers(0, 256, (8, 3, 3)),
        np.arange(8) % 2,
    )
    return dict(zip(MNIST_FILES, map(idx_file, arrays), strict=True))


@pytest.fixture
def squares(tmp_path: Path, square_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A data set added by one new module."""
    added = tmp_path / "added"
    added.mkdir()
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in square_files.items()}
    declaration = SQUARES.replace("SHA256", repr(checksums)).replace("PACKAGED", repr(str(tmp_path / "packaged")))
    (added / "squares.py").write_text(declaration)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(added)])
    data.sources.cache_clear()
    data.sources()
    yield sys.modules["walking_noise.data.sets.squares"]
    del sys.modules["walking_noise.data.sets.squares"]
    vars(sets).pop("squares")
    data.sources.cache_clear()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def write(folder: Path, files: dict[str, bytes], *, compressed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def line_of(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_new_module_adds_a_data_set(tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes]) -> None:
    write(tmp_path / "MNIST" / "raw", square_files)
    loaded = data.load("squares", root=tmp_path)
    assert (len(loaded.train_labels), len(loaded.validation_labels), tuple(loaded.train_samples.shape[1:])) == (
        20,
        8,
        (1, 3, 3),
    )
    assert idx_file(loaded.train_samples[:, 0].numpy()) == square_files[MNIST_FILES[0]]


def test_compressed_files_and_the_folder_of_a_package_are_found(
    tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes]
) -> None:
    write(tmp_path / "packaged", square_files, compressed=True)
    packaged = data.load("squares", root=tmp_path / "a")
    assert squares.reads == [tmp_path / "packaged"]
    write(tmp_path / "b" / "MNIST" / "raw", square_files)
    downloaded = data.load("squares", root=tmp_path / "b")
    assert squares.reads[1:] == [tmp_path / "b" / "MNIST" / "raw"], "downloaded files are preferred"
    assert packaged.checksum == downloaded.checksum


def test_a_data_set_is_read_once_by_all_threads(
    tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes]
) -> None:
    write(tmp_path / "MNIST" / "raw", square_files)
    with ThreadPoolExecutor(8) as threads:
        loaded = list(threads.map(lambda _: data.load("squares", root=tmp_path), range(16)))
    assert all(one is loaded[0] for one in loaded)
    assert len(squares.reads) == 1
    assert data.load("squares", "release", root=str(tmp_path)) is loaded[0]
    assert loaded[0].to("cpu") is loaded[0]


def test_the_message_for_missing_files_names_the_download_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WALKING_NOISE_DATA", str(tmp_path))
    write(tmp_path / "MNIST" / "raw", dict.fromkeys(MNIST_FILES[:3], b""))
    with pytest.raises(DataMissing) as missing:
        data.load("mnist")
    assert line_of(missing) == (
        f"data set mnist: t10k-labels-idx1-ubyte missing in {tmp_path}/MNIST/raw; "
        "get it with: walking-noise data get mnist"
    )


def test_the_message_names_the_debian_package(tmp_path: Path, squares: ModuleType) -> None:
    with pytest.raises(DataMissing) as missing:
        data.load("squares", root=tmp_path)
    assert line_of(missing).endswith(
        f"get it with: WALKING_NOISE_DATA={tmp_path} walking-noise data get squares, or: apt-get install squares"
    )
    assert data.sources()["fashion_mnist"].package == "apt-get install dataset-fashion-mnist"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_named(
    tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes], compressed: bool
) -> None:
    folder = tmp_path / "MNIST" / "raw"
    write(folder, square_files, compressed=compressed)
    damaged = folder / (f"{MNIST_FILES[2]}.gz" if compressed else MNIST_FILES[2])
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(DataMissing) as error:
        data.load("squares", root=tmp_path)
    line = line_of(error)
    assert line.startswith(f"data set squares: {damaged} ")
    assert ("end-of-stream" if compressed else f"{8 * 9 + 16 - 10} bytes") in line
    assert line.endswith(f"; replace it with: WALKING_NOISE_DATA={tmp_path} walking-noise data get squares")


def test_a_file_with_other_content_is_refused(
    tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes]
) -> None:
    images = bytearray(square_files[MNIST_FILES[0]])
    images[-1] ^= 1
    write(tmp_path / "MNIST" / "raw", {**square_files, MNIST_FILES[0]: bytes(images)})
    with pytest.raises(DataMissing, match=f"{MNIST_FILES[0]} is damaged"):
        data.load("squares", root=tmp_path)


def test_a_pickle_of_other_content_is_not_opened(tmp_path: Path) -> None:
    sentinel = tmp_path / "run"
    hostile = b"cos\nsystem\n(S'touch " + str(sentinel).encode() + b"'\ntR."
    write(tmp_path / "cifar-10-batches-py", dict.fromkeys(cifar10.DATA_SET.sha256, hostile))
    with pytest.raises(DataMissing, match="data_batch_1 is damaged"):
        data.load("cifar10", root=tmp_path)
    assert not sentinel.exists()


def test_the_message_for_unknown_names_lists_the_allowed_ones() -> None:
    with pytest.raises(ConfigError) as name:
        data.load("imagenet")
    assert line_of(name) == (
        "data.name: 'imagenet' is refused; allowed: cifar10, fashion_mnist, gsc, mnist, mnist5k, svhn"
    )
    with pytest.raises(ConfigError) as transform:
        data.load("mnist5k", "none")
    assert line_of(transform) == "data.transform: 'none' is refused; allowed for mnist5k: release"


def test_the_root_is_the_argument_then_the_environment_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WALKING_NOISE_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.data_root() == tmp_path / ".cache" / "walking_noise" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data.data_root() == Path("/cache/walking_noise/data")
    monkeypatch.setenv("WALKING_NOISE_DATA", "~/sets")
    assert data.data_root() == tmp_path / "sets"
    assert data.data_root("/given") == Path("/given")


def test_status_lists_the_missing_files(tmp_path: Path, squares: ModuleType, square_files: dict[str, bytes]) -> None:
    absent = data.status("squares", tmp_path)
    assert not absent.present
    assert str(absent) == f"squares: missing in {tmp_path}/MNIST/raw: {', '.join(MNIST_FILES)}"
    write(tmp_path / "packaged", square_files, compressed=True)
    assert str(data.status("squares", tmp_path)) == f"squares: present in {tmp_path}/packaged"
    assert data.status("mnist5k", tmp_path).present


@pytest.fixture
def mirror(tmp_path: Path, square_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a web server that torchvision uses as the mirror of MNIST."""
    folder = tmp_path / "mirror"
    write(folder, square_files, compressed=True)
    resources = [(f"{name}.gz", hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest()) for name in MNIST_FILES]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def test_fetch_downloads_only_missing_or_damaged_files(tmp_path: Path, squares: ModuleType, mirror: Path) -> None:
    root = tmp_path / "root"
    folder = data.fetch("squares", root)
    assert folder == root / "MNIST" / "raw"
    assert sorted(path.name for path in root.rglob("*") if path.is_file()) == sorted(MNIST_FILES)
    (folder / MNIST_FILES[1]).write_bytes(b"torn")
    data.fetch("squares", root)
    assert len(data.load("squares", root=root).train_labels) == 20
    for path in mirror.iterdir():
        path.unlink()
    assert data.fetch("squares", root) == folder, "complete and intact files need no server"


def test_a_failed_download_leaves_nothing_behind(tmp_path: Path, squares: ModuleType, mirror: Path) -> None:
    (mirror / f"{MNIST_FILES[3]}.gz").write_bytes(b"torn")
    root = tmp_path / "root"
    with pytest.raises(DataMissing, match=f"data set squares: the download to {root} failed") as error:
        data.fetch("squares", root)
    line_of(error)
    assert list(root.iterdir()) == []


def test_files_of_a_package_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (data.fetch("mnist5k", tmp_path) / "mnist_5k.csv.gz").is_file()
    monkeypatch.setattr(PublishedImages, "locate", lambda source, root: Files(root, source.sha256))
    with pytest.raises(DataMissing, match=r"mnist_5k\.csv missing in .*; get it with: pip install"):
        data.fetch("mnist5k", tmp_path)
