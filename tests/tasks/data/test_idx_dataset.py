"""IdxDataset: order of acquisition, verification, errors."""

import gzip
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tasks.data import DataCorrupt, DataUnavailable, ImageDataset, load_dataset
from tasks.data.errors import SourceFailed
from tasks.data.fashion_mnist import FASHION_MNIST
from tasks.data.idx import encode_idx
from tasks.data.idx_dataset import IdxDataset
from tasks.data.mnist import MNIST
from tasks.data.sources import Source
from tasks.data.verified_file import VerifiedFile

_RANDOM = np.random.default_rng(0)
CONTENT = {
    "train-images-idx3-ubyte": encode_idx(_RANDOM.integers(0, 256, (6, 2, 3), dtype=np.uint8)),
    "train-labels-idx1-ubyte": encode_idx(np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)),
    "t10k-images-idx3-ubyte": encode_idx(_RANDOM.integers(0, 256, (2, 2, 3), dtype=np.uint8)),
    "t10k-labels-idx1-ubyte": encode_idx(np.array([2, 1], dtype=np.uint8)),
}


@dataclass
class Shelf:
    """A source in memory that notes what it was asked for; without content it fails."""

    description: str
    content: dict[str, bytes] | None = None
    asked: list[list[str]] = field(default_factory=list)

    def fetch(self, names: Sequence[str]) -> dict[str, bytes]:
        self.asked.append(list(names))
        if self.content is None:
            raise SourceFailed("no route to host")
        return {name: self.content[name] for name in names}


def tiny(*sources: Source) -> IdxDataset:
    files = {name: VerifiedFile(name, hashlib.sha256(raw).hexdigest()) for name, raw in CONTENT.items()}
    return IdxDataset(
        name="tiny",
        train_images=files["train-images-idx3-ubyte"],
        train_labels=files["train-labels-idx1-ubyte"],
        test_images=files["t10k-images-idx3-ubyte"],
        test_labels=files["t10k-labels-idx1-ubyte"],
        classes=3,
        mean=0.5,
        std=0.3,
        sources=sources,
    )


def ignore(line: str) -> None:
    pass


def fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, raw in CONTENT.items():
        (folder / name).write_bytes(raw)


def test_local_files_need_no_source(tmp_path: Path) -> None:
    fill(tmp_path / "tiny")
    shelf = Shelf("shelf", CONTENT)
    dataset = tiny(shelf).load(tmp_path, ignore)
    assert shelf.asked == []
    assert dataset.train_images.shape == (6, 6)
    assert dataset.test_images.tobytes() == CONTENT["t10k-images-idx3-ubyte"][16:]
    assert dataset.train_labels.dtype == np.int64
    assert dataset.test_labels.tolist() == [2, 1]
    assert (dataset.name, dataset.classes, dataset.mean, dataset.std) == ("tiny", 3, 0.5, 0.3)


def test_all_local_spellings_give_the_same_data_set(tmp_path: Path) -> None:
    fill(tmp_path / "raw" / "tiny")
    folder = tmp_path / "mixed" / "tiny"
    folder.mkdir(parents=True)
    for index, (name, raw) in enumerate(CONTENT.items()):
        spelling = name.replace("-idx", ".idx") if index % 2 else name
        if index < 2:
            (folder / spelling).write_bytes(raw)
        else:
            (folder / f"{spelling}.gz").write_bytes(gzip.compress(raw))
    fingerprints = {tiny().load(tmp_path / kind, ignore).fingerprint for kind in ("raw", "mixed")}
    assert len(fingerprints) == 1


def test_first_source_that_delivers_is_used_and_stored(tmp_path: Path) -> None:
    shelves = [Shelf("first"), Shelf("second", CONTENT), Shelf("third", CONTENT)]
    lines: list[str] = []
    tiny(*shelves).load(tmp_path, lines.append)
    assert [len(shelf.asked) for shelf in shelves] == [1, 1, 0]
    assert lines == [
        "tiny: trying first",
        "tiny: first: no route to host",
        "tiny: trying second",
        f"tiny: 4 files verified by SHA-256 in {tmp_path / 'tiny'}",
    ]
    assert {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()} == CONTENT
    tiny(Shelf("unused")).load(tmp_path, ignore)


def test_only_missing_files_are_fetched(tmp_path: Path) -> None:
    fill(tmp_path / "tiny")
    (tmp_path / "tiny" / "t10k-labels-idx1-ubyte").unlink()
    shelf = Shelf("shelf", CONTENT)
    tiny(shelf).load(tmp_path, ignore)
    assert shelf.asked == [["t10k-labels-idx1-ubyte"]]


def test_source_with_other_content_is_passed_over_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    false = CONTENT | {"t10k-labels-idx1-ubyte": encode_idx(np.array([1, 2], dtype=np.uint8))}
    with pytest.raises(DataUnavailable, match="false shelf: t10k-labels-idx1-ubyte: expected SHA-256"):
        tiny(Shelf("false shelf", false)).load(tmp_path, ignore)
    assert not (tmp_path / "tiny").exists()
    dataset = tiny(Shelf("false shelf", false), Shelf("shelf", CONTENT)).load(tmp_path, ignore)
    assert dataset.test_labels.tolist() == [2, 1]


def test_corrupt_local_file_is_neither_used_nor_replaced(tmp_path: Path) -> None:
    fill(tmp_path / "tiny")
    damaged = tmp_path / "tiny" / "t10k-images-idx3-ubyte"
    damaged.write_bytes(b"damaged")
    shelf = Shelf("shelf", CONTENT)
    with pytest.raises(DataCorrupt, match=str(damaged)):
        tiny(shelf).load(tmp_path, ignore)
    assert shelf.asked == []
    assert damaged.read_bytes() == b"damaged"


def test_error_lists_every_source_with_its_reason_and_the_remedies(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable) as caught:
        tiny(Shelf("first"), Shelf("second")).load(tmp_path, ignore)
    message = str(caught.value)
    for part in ("first: no route to host", "second: no route to host", str(tmp_path / "tiny"), *CONTENT):
        assert part in message
    assert "task.dataset=digits" in message


def test_simultaneous_fetches_leave_complete_files_alone(tmp_path: Path) -> None:
    def load(index: int) -> str:
        return tiny(Shelf(f"shelf {index}", CONTENT)).load(tmp_path, ignore).fingerprint

    with ThreadPoolExecutor(8) as pool:
        fingerprints = set(pool.map(load, range(40)))
    assert len(fingerprints) == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()} == CONTENT


_DATA = Path(__file__).parents[3] / "data"


def needs(*descriptions: IdxDataset) -> pytest.MarkDecorator:
    missing = [d.name for d in descriptions if any(file.find(_DATA / d.name) is None for file in d.files)]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} not fetched")


def assert_normalisation_is_that_of_the_images(dataset: ImageDataset) -> None:
    assert dataset.mean == round(dataset.train_images.mean() / 255, 4)
    assert dataset.std == round(dataset.train_images.std() / 255, 4)


@needs(MNIST)
def test_fetched_mnist_is_the_published_one() -> None:
    dataset = MNIST.load(_DATA, ignore)
    assert dataset.train_images.shape == (60000, 784)
    assert dataset.test_images.shape == (10000, 784)
    assert dataset.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(dataset.test_labels).tolist() == counts
    assert_normalisation_is_that_of_the_images(dataset)
    assert dataset.fingerprint == "efffda7f6bb48e09acb2406676c41554483db29e935b86b67a0503f168dcea85"


@needs(FASHION_MNIST)
def test_fetched_fashion_mnist_is_the_published_one() -> None:
    dataset = FASHION_MNIST.load(_DATA, ignore)
    assert dataset.train_images.shape == (60000, 784)
    assert dataset.train_labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert np.bincount(dataset.train_labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10
    assert_normalisation_is_that_of_the_images(dataset)
    assert dataset.fingerprint == "9b51008bacccd2c690942d9dc53549fe081b66e140f23d9f1b0040b290a25286"


@needs(MNIST, FASHION_MNIST)
def test_mnist_and_fashion_mnist_together_have_twenty_classes() -> None:
    dataset = load_dataset("mnist+fashion_mnist", _DATA)
    assert (dataset.classes, dataset.pixels) == (20, 784)
    assert np.bincount(dataset.train_labels).tolist()[10:] == [6000] * 10
    inputs = dataset.test_inputs()
    assert inputs.shape == (20000, 784)
    for part in (inputs[:10000], inputs[10000:]):
        assert abs(part.mean(dtype=np.float64)) < 0.02 and abs(part.std(dtype=np.float64) - 1) < 0.02
