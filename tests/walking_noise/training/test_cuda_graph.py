"""CUDA graph of a training step: replayed steps against the same steps called each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.reproducibility import deterministic
from walking_noise.training.cuda_graph import WARM_UP_STEPS, CudaGraphRecorder, GraphedStep, Work
from walking_noise.training.member import Member, TrainedNetwork
from walking_noise.training.trainer import PackTrainer, train_pack

CPU, GPU = torch.device("cpu"), torch.device("cuda")
BATCH = 16
RUNS: list[dict[str, Any]] = [
    {"noise.std": 0.5},
    {"noise.kind": "none"},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.point": 3, "training.weight_clamp": 0.05},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "training.weight_decay": 0.5},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.gradient": "straight_through"},
    {"noise.kind": "multiplicative", "noise.std": 1e20},
    {"noise.std": 1.0, "noise.in_training": False},
]


def runs(model: str = "mlp", epochs: int = 2, **more: Any) -> list[RunConfig]:
    shared = {"model.name": model, "model.batch_norm": True, "training.epochs": epochs, "training.batch_size": BATCH}
    return [RunConfig.from_dict({**shared, **one, **more, "seed": seed}) for seed, one in enumerate(RUNS)]


class FakeRecorder(CudaGraphRecorder):
    """A recorder without a GPU: a replay calls the recorded work again, on the same tensors."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.warm_ups, self.recordings, self.replays = 0, 0, 0

    def warm_up(self, work: Work) -> None:
        self.warm_ups += 1
        work()

    def record(self, work: Work) -> Work:
        self.recordings += 1
        if self.fault is not None:
            raise self.fault

        def replay() -> None:
            self.replays += 1
            work()

        return replay


def use_graphs(monkeypatch: pytest.MonkeyPatch, graph: Callable[[], GraphedStep | None]) -> None:
    """Let every trainer have its graph from ``graph``."""
    initialise = PackTrainer.__init__

    def with_graph(trainer: PackTrainer, *arguments: Any) -> None:
        initialise(trainer, *arguments)
        trainer.graph = graph()

    monkeypatch.setattr(PackTrainer, "__init__", with_graph)


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[FakeRecorder]:
    """Let every step be replayed, with one recorder for each pack."""
    recorders: list[FakeRecorder] = []

    def graph() -> GraphedStep:
        recorders.append(FakeRecorder())
        return GraphedStep(BATCH, recorders[-1])

    use_graphs(monkeypatch, graph)
    return recorders


def bits(trained: Sequence[TrainedNetwork]) -> list[Any]:
    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: of(one) for name, one in value.items()}
        return value.numpy().tobytes() if isinstance(value, Tensor) else repr(value)

    return [{name: of(value) for name, value in vars(one).items()} for one in trained]


@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_replayed_steps_equal_called_steps(model: str, fewer_digits: DataSet, request: pytest.FixtureRequest) -> None:
    """150 samples: an audited batch, three to warm up, five to replay, and a shorter last one."""
    expected = bits(train_pack(runs(model), fewer_digits, CPU))
    recorders = request.getfixturevalue("recorders")
    assert bits(train_pack(runs(model), fewer_digits, CPU)) == expected
    full = len(fewer_digits.train_labels) // BATCH
    first_epoch = second_epoch = (WARM_UP_STEPS, 1, full - 1 - WARM_UP_STEPS)
    counts = [(one.warm_ups, one.recordings, one.replays) for one in recorders]
    assert counts == [first_epoch, (0, 0, 0), second_epoch], "a run diverges in the first epoch and is fast-forwarded"


def test_batches_are_copied_to_the_tensors_of_the_recorded_step(fewer_digits: DataSet) -> None:
    trainer = PackTrainer([Member(config) for config in runs()[:2]], fewer_digits, CPU)
    recorder = FakeRecorder()
    trainer.graph = GraphedStep(BATCH, recorder)
    seen: list[tuple[int, int]] = []
    cross_entropy = torch.nn.functional.cross_entropy

    def recorded(logits: Tensor, labels: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append((labels.data_ptr(), int(trainer.index)))
        return cross_entropy(logits, labels, *args, **kwargs)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("walking_noise.pack.pack.F.cross_entropy", recorded)
        trainer.train_epoch(lambda: None)
    addresses = [address for address, _ in seen[1 + WARM_UP_STEPS : -1]]
    assert len(set(addresses)) == 1
    assert [index for _, index in seen] == list(range(len(seen)))


def test_a_step_that_cannot_be_recorded_is_called_each_time(
    fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = bits(train_pack(runs()[:3], fewer_digits, CPU))
    recorder = FakeRecorder(RuntimeError("operation not permitted when stream is capturing"))
    use_graphs(monkeypatch, lambda: GraphedStep(BATCH, recorder))
    assert bits(train_pack(runs()[:3], fewer_digits, CPU)) == expected
    assert (recorder.recordings, recorder.replays) == (1, 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "no CUDA graph of the training step (operation not permitted when stream is capturing); "
        "the step is launched kernel by kernel"
    )


@pytest.mark.parametrize("error_type", [torch.OutOfMemoryError, torch.AcceleratorError], ids=["torch's", "CUDA's"])
@pytest.mark.parametrize("hidden", [False, True], ids=["direct", "as context of the error of ending the capture"])
def test_out_of_memory_is_raised(
    hidden: bool, error_type: type[Exception], fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = error_type("CUDA out of memory")
    if hidden:
        ending = RuntimeError("capture was invalidated")
        ending.__context__, fault = fault, ending
    use_graphs(monkeypatch, lambda: GraphedStep(BATCH, FakeRecorder(fault)))
    with pytest.raises(error_type, match="CUDA out of memory"):
        train_pack(runs()[:3], fewer_digits, CPU)


def test_on_a_cpu_nothing_is_recorded(fewer_digits: DataSet) -> None:
    trainer = PackTrainer([Member(config) for config in runs()[:1]], fewer_digits, CPU)
    assert trainer.graph is None


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_captured_steps_equal_steps_launched_kernel_by_kernel(
    model: str, fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with deterministic():
        captured = bits(train_pack(runs(model, epochs=3), fewer_digits, GPU))
        use_graphs(monkeypatch, lambda: None)
        assert bits(train_pack(runs(model, epochs=3), fewer_digits, GPU)) == captured
    assert capsys.readouterr().err == ""


@pytest.mark.gpu
def test_a_graph_is_captured_and_its_memory_is_freed(fewer_digits: DataSet) -> None:
    recorded: list[Work] = []
    record = CudaGraphRecorder.record

    def counted(self: CudaGraphRecorder, work: Work) -> Work:
        recorded.append(record(self, work))
        return recorded[-1]

    with deterministic():
        train_pack(runs(), fewer_digits, GPU)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(CudaGraphRecorder, "record", counted)
            train_pack(runs(), fewer_digits, GPU)
        assert len(recorded) == 2
        recorded.clear()
        torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_captured_pack_of_seven_equals_seven_single_runs(model: str, fewer_digits: DataSet) -> None:
    """Up to the order of sums, which libraries choose by the size of a matrix product."""
    with deterministic():
        packed = train_pack(runs(model), fewer_digits, GPU)
        single = [train_pack([config], fewer_digits, GPU)[0] for config in runs(model)]
    for one, other in zip(packed, single, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=1e-3, nan_ok=True)
        assert (one.overflow_epoch, one.diverged_epoch) == (other.overflow_epoch, other.diverged_epoch)


@pytest.mark.gpu
def test_recording_changes_nothing(fewer_digits: DataSet) -> None:
    with deterministic():
        trainer = PackTrainer([Member(config) for config in runs()[:3]], fewer_digits.to(GPU), GPU)
        assert isinstance(trainer.graph, GraphedStep)
        trainer.train_epoch(lambda: None)
        x, y = next(trainer.batches.epoch(1))
        before = [tensor.clone() for tensor in trainer.pack.state_dict().values()]
        index = int(trainer.index)
        replay = CudaGraphRecorder(GPU).record(lambda: trainer.step(x, y))
        torch.cuda.synchronize()
        assert int(trainer.index) == index
        after = trainer.pack.state_dict().values()
        assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))
        replay()
        assert int(trainer.index) == index + 1


@pytest.mark.gpu
def test_a_failed_capture_has_no_after_effects() -> None:
    x, graphs = torch.zeros(2**20, device=GPU), CudaGraphRecorder(GPU)

    def work() -> None:
        x.add_(torch.ones_like(x)).fill_(2)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="captur"):
            graphs.record(lambda: print(float((x + 1).sum())))
        torch.cuda.empty_cache()
    reserved = torch.cuda.memory_reserved()
    replay = graphs.record(work)
    assert float(x.sum()) == 0
    replay()
    assert float(x.sum()) == 2**21
    del replay
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= reserved


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")
def test_an_epoch_does_not_synchronise_between_its_first_and_its_last_batch(fewer_digits: DataSet) -> None:
    batches = 0

    def after_batch() -> None:
        nonlocal batches
        batches += 1
        torch.cuda.set_sync_debug_mode("error" if 0 < batches < len(fewer_digits.train_labels) // BATCH else "default")

    with deterministic():
        trainer = PackTrainer([Member(config) for config in runs()[:3]], fewer_digits.to(GPU), GPU)
        trainer.graph = None
        try:
            trainer.train_epoch(after_batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
