"""Google Speech Commands: clips of the splits, background noise, and the messages for damaged files."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import wavfile
from torch import Tensor
from torchaudio.datasets import speechcommands

from tests.walking_noise.data.speech import FOLDER, RATE, TESTING, VALIDATION, WORDS, write_corpus, write_wave
from walking_noise import ConfigError, DataMissing, RunConfig, data
from walking_noise.data import DataSet
from walking_noise.data.batches import TrainingBatches
from walking_noise.data.speech import computed_features, recordings
from walking_noise.data.speech.background import Background
from walking_noise.data.speech.mfcc import features, scaled
from walking_noise.data.speech.speech_transforms import FreshNoise
from walking_noise.reproducibility import stream_generator
from walking_noise.training.trainer import train_pack

KEYWORDS = ("yes", "no")
SILENCE, UNKNOWN = 2, 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("speech")
    write_corpus(root)
    return root


def load(root: Path, transform: str = "none", validation: str = "test") -> DataSet:
    return data.load("gsc", transform, validation, KEYWORDS, root=root)


def second(path: Path) -> NDArray[np.int16]:
    _, samples = wavfile.read(path)
    return np.pad(samples, (0, RATE - len(samples)))


def clips(root: Path, names: list[str]) -> Tensor:
    return torch.from_numpy(np.stack([second(root / FOLDER / name) for name in names]))


def in_neither_list() -> list[str]:
    names = sorted(f"{word}/{number}.wav" for word, count in WORDS.items() for number in range(count))
    return [name for name in names if name not in TESTING + VALIDATION]


def labels_of(names: list[str]) -> list[int]:
    return [{"yes": 0, "no": 1, "cat": UNKNOWN}[name.partition("/")[0]] for name in names]


def background(root: Path, number: int) -> NDArray[np.int16]:
    _, samples = wavfile.read(root / FOLDER / "_background_noise_" / f"{number}.wav")
    return np.asarray(samples)


@pytest.mark.parametrize(("validation", "listed"), [("test", sorted(TESTING)), ("holdout", sorted(VALIDATION))])
def test_listed_clips_are_for_validation_and_the_others_for_training(
    corpus: Path, validation: str, listed: list[str]
) -> None:
    loaded = load(corpus, "none", validation)
    assert loaded.classes == 4
    for names, samples, labels in (
        (in_neither_list(), loaded.train_samples, loaded.train_labels),
        (listed, loaded.validation_samples, loaded.validation_labels),
    ):
        words = len(names)
        assert labels[:words].tolist() == labels_of(names)
        assert torch.equal(samples[:words], features(scaled(clips(corpus, names))))
        assert len(labels) > words or validation != "training"
        assert set(labels[words:].tolist()) <= {SILENCE}


def test_silence_is_background_noise_and_the_splits_do_not_overlap(corpus: Path) -> None:
    train = load(corpus).train_samples[len(in_neither_list()) :]
    tests, holdout = (
        load(corpus, "none", name).validation_samples[len(listed) :]
        for name, listed in (("test", TESTING), ("holdout", VALIDATION))
    )
    long, short = background(corpus, 0), background(corpus, 1)
    windows = [long[start : start + RATE] for start in range(0, 3 * RATE + 1, RATE // 2)]
    windows += [short[start : start + RATE] for start in range(0, int(2.2 * RATE) + 1, RATE // 2)]
    assert torch.equal(train, features(scaled(torch.from_numpy(np.stack(windows)))))
    assert (len(tests), len(holdout)) == (0, 0), "a tenth of five seconds is too short"


def test_each_split_has_a_part_of_a_long_recording(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, seconds=[20.0])
    noise = np.arange(20 * RATE) % 30_000
    write_wave(folder / "_background_noise_" / "0.wav", noise.astype(np.int16))
    pieces = {
        "training": load(tmp_path).train_samples[len(in_neither_list()) :],
        "holdout": load(tmp_path, "none", "holdout").validation_samples[len(VALIDATION) :],
        "test": load(tmp_path).validation_samples[len(TESTING) :],
    }
    assert {name: len(samples) for name, samples in pieces.items()} == {"training": 31, "holdout": 3, "test": 3}
    for name, start in (("training", 0), ("holdout", 16), ("test", 18)):
        first = torch.from_numpy(noise[start * RATE : (start + 1) * RATE].astype(np.int16))[None]
        torch.testing.assert_close(pieces[name][:1], features(scaled(first)))


def test_class_weights_are_the_papers(corpus: Path) -> None:
    loaded = load(corpus)
    shares = loaded.train_labels.bincount(minlength=4) / len(loaded.train_labels)
    expected = 1 - shares
    expected[UNKNOWN] /= 3.6
    assert loaded.class_weights is not None
    torch.testing.assert_close(loaded.class_weights, expected / expected.sum())


def test_a_clip_is_divided_by_its_largest_sample() -> None:
    some = torch.tensor([[5, -20, 10], [0, 0, 0], [-3, -2, -1]], dtype=torch.int16)
    assert scaled(some).tolist() == [[0.5, -2.0, 1.0], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]]
    assert features(torch.zeros(1, RATE)).isfinite().all()


def test_probability_volume_and_position_of_noise_are_those_of_the_papers() -> None:
    noise = Background(torch.zeros(10 * RATE, dtype=torch.int16), torch.tensor([2 * RATE, 8 * RATE]))
    start, volume = noise.draw(40_000, stream_generator(1, "augmentation", 0))
    mixed = volume > 0
    assert float(mixed.double().mean()) == pytest.approx(0.8, abs=0.01)
    assert float(volume[mixed].mean()) == pytest.approx(0.5, abs=0.01)
    assert 0.99 < float(volume.max()) < 1
    first = start < 2 * RATE
    assert float(first.double().mean()) == pytest.approx(0.5, abs=0.01), "all recordings are equally frequent"
    assert int(start[first].min()) < 9
    assert RATE - 9 < int(start[first].max()) <= RATE
    assert int(start[~first].min()) >= 2 * RATE
    assert int(start.max()) <= 9 * RATE


def test_noise_is_added_by_volume_and_clipped() -> None:
    sound = torch.randint(-(2**15), 2**15, (2 * RATE,), dtype=torch.int16, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(-1.5, 1, RATE).repeat(3, 1)
    drawn = torch.tensor([[0.0, RATE, 7.0], [0.0, 0.5, 0.25]], dtype=torch.float64)
    mixed = Background(sound, torch.tensor([2 * RATE])).mix(x, drawn)
    for row, (start, volume) in zip(mixed, drawn.T.tolist(), strict=True):
        piece = sound[int(start) : int(start) + RATE] / 2**15
        torch.testing.assert_close(row, (x[0] + volume * piece).clamp(-1, 1))


def test_the_transform_release_mixes_noise_once_for_all_runs(corpus: Path) -> None:
    release, clean = load(corpus, "release"), load(corpus, "none")
    assert release.checksum != clean.checksum
    assert torch.equal(release.validation_samples, clean.validation_samples)
    changed = (release.train_samples != clean.train_samples).flatten(1).any(1)
    assert 0.5 < float(changed.double().mean()) <= 1
    epochs = [torch.cat([x[0] for x, _ in TrainingBatches(release, [1], 7).epoch(epoch)]) for epoch in (0, 1)]
    orders = [torch.cat([y[0] for _, y in TrainingBatches(release, [1], 7).epoch(epoch)]) for epoch in (0, 1)]
    assert sorted(map(float, epochs[0].sum((1, 2, 3)))) == sorted(map(float, epochs[1].sum((1, 2, 3))))
    assert not torch.equal(*orders)


def test_fresh_noise_is_a_function_of_seed_epoch_and_sample(corpus: Path) -> None:
    fresh = load(corpus, "fresh")
    assert fresh.train_samples.dtype == torch.int16
    assert isinstance(fresh.transform, FreshNoise)
    for seed, epoch in ((1, 0), (1, 5), (2, 5)):
        batches = list(TrainingBatches(fresh, [seed], 8).epoch(epoch))
        order = torch.randperm(len(fresh.train_labels), generator=stream_generator(seed, "order", epoch))
        drawn = fresh.transform.draw(len(order), stream_generator(seed, "augmentation", epoch))
        x = fresh.transform.background.mix(scaled(fresh.train_samples), drawn)
        torch.testing.assert_close(torch.cat([x[0] for x, _ in batches]), features(x)[order], rtol=1e-4, atol=1e-4)
    assert torch.equal(fresh.validation_samples, load(corpus, "none").validation_samples)


def test_noise_is_drawn_from_the_training_part_only(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, seconds=[10.0])
    noise = np.full(10 * RATE, 1000, np.int16)
    noise[8 * RATE :] = 9
    write_wave(folder / "_background_noise_" / "0.wav", noise)
    fresh = load(tmp_path, "fresh").transform
    assert isinstance(fresh, FreshNoise)
    assert fresh.background.lengths.tolist() == [8 * RATE]
    assert fresh.background.sound.unique().tolist() == [1000]


@pytest.mark.parametrize("transform", ["fresh", "release"])
def test_packed_equals_alone(corpus: Path, transform: str) -> None:
    settings: dict[str, Any] = {
        "data.name": "gsc",
        "data.keywords": list(KEYWORDS),
        "data.transform": transform,
        "model.name": "cnn_s",
        "model.batch_norm": True,
        "training.epochs": 2,
        "training.batch_size": 12,
    }
    runs: list[dict[str, Any]] = [{"noise.std": 0.5}, {"seed": 1}, {"seed": 1, "noise.std": 2.0}, {"seed": 2}]
    configs = [RunConfig.from_dict(settings | run) for run in runs]
    loaded = load(corpus, transform)
    packed = train_pack(configs, loaded, torch.device("cpu"))
    for config, one in zip(configs, packed, strict=True):
        (alone,) = train_pack([config], loaded, torch.device("cpu"))
        assert alone.training_loss == one.training_loss
        assert alone.evaluations == one.evaluations
        assert all(torch.equal(alone.state[name], tensor) for name, tensor in one.state.items())


def test_cached_features_do_not_depend_on_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def watched(x: Tensor) -> Tensor:
        threads.append(torch.get_num_threads())
        return features(x)

    write_corpus(tmp_path)
    monkeypatch.setattr(computed_features, "features", watched)
    torch.set_num_threads(2)
    try:
        load(tmp_path, "release")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert set(threads) == {1}


def test_the_status_contains_the_number_of_recordings(corpus: Path, tmp_path: Path) -> None:
    assert str(data.status("gsc", corpus)) == f"gsc: 23 of 105,829 recordings in {corpus / FOLDER}"
    assert str(data.status("gsc", tmp_path)).startswith(f"gsc: missing in {tmp_path / FOLDER}: testing_list.txt, val")


def test_an_incomplete_folder_is_not_overwritten_by_a_download(corpus: Path) -> None:
    with pytest.raises(DataMissing, match=r"speech_commands_v0.02 is incomplete; move it away first$"):
        data.fetch("gsc", corpus)


def test_a_download_is_moved_to_its_folder_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def from_disk(url: str, archive: str, hash_prefix: str) -> None:
        requests.append(f"{url} {hash_prefix[:8]}")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(write_corpus(tmp_path / "published"), ".")

    monkeypatch.setattr(speechcommands, "download_url_to_file", from_disk)
    monkeypatch.setattr(recordings, "PUBLISHED", sum(WORDS.values()))
    root = tmp_path / "root"
    assert data.fetch("gsc", root) == data.fetch("gsc", root) == root / FOLDER
    assert requests == ["http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz af14739e"]
    assert sorted(path.name for path in root.rglob("*") if path.parent != root / FOLDER and path.is_dir()) == [
        "SpeechCommands",
        "speech_commands_v0.02",
    ]
    assert len(load(root).train_labels) > len(in_neither_list())


def test_a_keyword_without_recordings_is_an_error(corpus: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data.keywords: 'dog' is refused; there is no recording of it in .*v0.02$"):
        data.load("gsc", keywords=("yes", "dog"), root=corpus)
    with pytest.raises(ConfigError, match=r"^data.keywords: 'down' is refused"):
        data.load("gsc", root=corpus)


def test_other_words_are_other_classes(corpus: Path) -> None:
    loaded = data.load("gsc", "none", keywords=("cat", "no"), root=corpus)
    swapped = {0: 3, 1: 1, UNKNOWN: 0}
    words = len(in_neither_list())
    assert loaded.train_labels[:words].tolist() == [swapped[label] for label in labels_of(in_neither_list())]


def broken(root: Path, how: str) -> None:
    folder = write_corpus(root)
    wav = folder / "yes" / "4.wav"
    if how == "rate":
        write_wave(wav, np.zeros(RATE, np.int16), rate=8000)
    elif how == "channels":
        write_wave(wav, np.zeros(RATE, np.int16), channels=2)
    elif how == "torn":
        wav.write_bytes(wav.read_bytes()[:-1001])
    elif how == "empty":
        wav.write_bytes(b"")
    elif how == "text":
        wav.write_text("this is not a recording")
    elif how == "lists":
        (folder / "testing_list.txt").write_text("")
    elif how == "torn lists":
        (folder / "testing_list.txt").write_bytes(b"\xff\xfe")
    elif how == "noise":
        for noise in (folder / "_background_noise_").glob("*.wav"):
            noise.unlink()


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("rate", r"yes/4.wav is not 16-bit mono of 16000 Hz: 16 bits, channels: 1, 8000 Hz"),
        ("channels", r"yes/4.wav is not 16-bit mono of 16000 Hz: 16 bits, channels: 2, 16000 Hz"),
        ("torn", r"yes/4.wav is damaged \([\d,]+ of [\d,]+ samples\)"),
        ("empty", r"yes/4.wav cannot be read \(it is truncated\)"),
        ("text", r"yes/4.wav cannot be read \(file does not start with RIFF id\)"),
        ("lists", r"v0.02 contains no recording for validation"),
        ("torn lists", r"testing_list.txt cannot be read \(.*\)"),
        ("noise", r"v0.02 contains no background noise of at least 1.25 seconds"),
    ],
)
def test_the_message_for_damaged_files_has_one_line(tmp_path: Path, how: str, text: str) -> None:
    broken(tmp_path, how)
    remedy = "; move .*/speech_commands_v0.02 away, then get the data set with: .*walking-noise data get gsc$"
    with pytest.raises(DataMissing, match=text + remedy) as error:
        load(tmp_path, "release")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "SpeechCommands").rglob("*.pt"))


def test_the_message_for_missing_files_has_one_line(tmp_path: Path) -> None:
    shutil.rmtree(write_corpus(tmp_path) / "_background_noise_")
    with pytest.raises(DataMissing, match=r"_background_noise_ missing in .*v0.02; get it with: .*data get gsc$"):
        load(tmp_path, "release")
