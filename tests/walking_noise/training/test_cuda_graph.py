"""A training step that is recorded once and replayed, against the same step done each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.reproducibility import deterministic
from walking_noise.training.cuda_graph import WARM_UP_STEPS, CudaGraphs, GraphedStep, Work
from walking_noise.training.member import Member, TrainedNetwork
from walking_noise.training.trainer import PackTrainer, train_pack

CPU, GPU = torch.device("cpu"), torch.device("cuda")
BATCH = 16
RUNS: list[dict[str, Any]] = [
    {"noise.std": 0.5},
    {"noise.kind": "none", "training.learning_rate": 3e-3},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.point": 3, "training.weight_clamp": 0.05},
    {"noise.kind": "mixed", "noise.std_mul": 0.4, "noise.std_add": 0.2, "noise.order": "add_first"},
    {"noise.kind": "multiplicative", "noise.std": 0.7, "noise.gradient": "straight_through"},
    {"noise.kind": "multiplicative", "noise.std": 1e20},
    {"noise.std": 1.0, "noise.in_training": False},
]


def runs(model: str = "mlp", epochs: int = 2, **more: Any) -> list[RunConfig]:
    shared = {"model.name": model, "model.batch_norm": True, "training.epochs": epochs, "training.batch_size": BATCH}
    return [RunConfig.from_dict({**shared, **one, **more, "seed": seed}) for seed, one in enumerate(RUNS)]


class Remembered:
    """A recorder for work that leaves no trace on a device: it does the work anew, on the same tensors."""

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


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Remembered]:
    """Every step is replayed from now on; one recorder for each pack."""
    made: list[Remembered] = []

    def graphed(step: Any, batch_size: int, device: torch.device) -> GraphedStep:
        made.append(Remembered())
        return GraphedStep(step, batch_size, made[-1])

    monkeypatch.setattr("walking_noise.training.trainer.graphed", graphed)
    return made


def bits(trained: Sequence[TrainedNetwork]) -> list[Any]:
    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: of(one) for name, one in value.items()}
        return value.numpy().tobytes() if isinstance(value, Tensor) else repr(value)

    return [{name: of(value) for name, value in vars(one).items()} for one in trained]


@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_replayed_equals_done_each_time(model: str, fewer_digits: DataSet, request: pytest.FixtureRequest) -> None:
    """150 samples: a batch that is audited, three to warm up, five to replay, and a shorter last one."""
    expected = bits(train_pack(runs(model), fewer_digits, CPU))
    recorders = request.getfixturevalue("recorders")
    assert bits(train_pack(runs(model), fewer_digits, CPU)) == expected
    whole = len(fewer_digits.train_labels) // BATCH
    each_epoch = (
        WARM_UP_STEPS,
        1,
        whole - 1 - WARM_UP_STEPS,
    )  # the run that is lost in the first leaves the others to themselves
    counts = [(one.warm_ups, one.recordings, one.replays) for one in recorders]
    assert counts == [each_epoch, (0, 0, 0), each_epoch]


def test_batches_are_copied_to_where_the_recorded_step_reads_them(fewer_digits: DataSet) -> None:
    trainees = PackTrainer([Member(config) for config in runs()[:2]], fewer_digits, CPU)
    recorder = Remembered()
    trainees.do_step = GraphedStep(trainees.step, BATCH, recorder)
    seen: list[tuple[int, int]] = []
    cross_entropy = torch.nn.functional.cross_entropy

    def looking(logits: Tensor, labels: Tensor, *more: Any, **how: Any) -> Tensor:
        seen.append((labels.data_ptr(), int(trainees.step.index)))
        return cross_entropy(logits, labels, *more, **how)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("walking_noise.training.step.F.cross_entropy", looking)
        trainees.train_epoch(lambda: None)
    addresses = [address for address, _ in seen[1 + WARM_UP_STEPS : -1]]
    assert len(set(addresses)) == 1
    assert [place for _, place in seen] == list(range(len(seen)))


def test_a_step_that_cannot_be_recorded_is_done_as_ever(
    fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = bits(train_pack(runs()[:3], fewer_digits, CPU))
    recorder = Remembered(RuntimeError("operation not permitted when stream is capturing"))
    monkeypatch.setattr(
        "walking_noise.training.trainer.graphed",
        lambda step, batch_size, device: GraphedStep(step, batch_size, recorder),
    )
    assert bits(train_pack(runs()[:3], fewer_digits, CPU)) == expected
    assert (recorder.recordings, recorder.replays) == (1, 0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("could not be recorded: operation not permitted when stream is capturing")


@pytest.mark.parametrize("lack", [torch.OutOfMemoryError, torch.AcceleratorError], ids=["torch's", "CUDA's"])
@pytest.mark.parametrize("hidden", [False, True], ids=["as it is", "behind the error of ending the recording"])
def test_lack_of_memory_is_an_error(
    hidden: bool, lack: type[Exception], fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = lack("CUDA out of memory")
    if hidden:
        ending = RuntimeError("capture was invalidated")
        ending.__context__, fault = fault, ending
    monkeypatch.setattr(
        "walking_noise.training.trainer.graphed",
        lambda step, batch_size, device: GraphedStep(step, batch_size, Remembered(fault)),
    )
    with pytest.raises(lack, match="CUDA out of memory"):
        train_pack(runs()[:3], fewer_digits, CPU)


def test_on_a_cpu_nothing_is_recorded(fewer_digits: DataSet) -> None:
    trainees = PackTrainer([Member(config) for config in runs()[:1]], fewer_digits, CPU)
    assert trainees.do_step is trainees.step


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_captured_equals_launched_kernel_by_kernel(
    model: str, fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with deterministic():
        captured = bits(train_pack(runs(model, epochs=3), fewer_digits, GPU))
        monkeypatch.setattr("walking_noise.training.trainer.graphed", lambda step, batch_size, device: step)
        assert bits(train_pack(runs(model, epochs=3), fewer_digits, GPU)) == captured
    assert capsys.readouterr().err == ""


@pytest.mark.gpu
def test_a_graph_was_captured_and_its_memory_is_given_back(fewer_digits: DataSet) -> None:
    recorded: list[Work] = []
    record = CudaGraphs.record

    def counted(self: CudaGraphs, work: Work) -> Work:
        recorded.append(record(self, work))
        return recorded[-1]

    with deterministic():
        train_pack(runs(), fewer_digits, GPU)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(CudaGraphs, "record", counted)
            train_pack(runs(), fewer_digits, GPU)
        assert len(recorded) == 2
        recorded.clear()
        torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["mlp", "lenet5"])
def test_a_captured_pack_of_seven_is_each_alone(model: str, fewer_digits: DataSet) -> None:
    """Up to the order of sums, which libraries choose by the size of a product."""
    with deterministic():
        packed = train_pack(runs(model), fewer_digits, GPU)
        alone = [train_pack([config], fewer_digits, GPU)[0] for config in runs(model)]
    for one, other in zip(packed, alone, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=1e-3, nan_ok=True)
        assert (one.overflow_epoch, one.diverged_epoch) == (other.overflow_epoch, other.diverged_epoch)


@pytest.mark.gpu
def test_recording_moves_nothing(fewer_digits: DataSet) -> None:
    with deterministic():
        trainees = PackTrainer([Member(config) for config in runs()[:3]], fewer_digits.to(GPU), GPU)
        assert isinstance(trainees.do_step, GraphedStep)
        trainees.train_epoch(lambda: None)
        x, y = next(trainees.batches.epoch(1))
        before = [tensor.clone() for tensor in trainees.pack.state_dict().values()]
        place = int(trainees.step.index)
        replay = CudaGraphs(GPU).record(lambda: trainees.step(x, y))
        torch.cuda.synchronize()
        assert int(trainees.step.index) == place
        after = trainees.pack.state_dict().values()
        assert all(torch.equal(one, other) for one, other in zip(after, before, strict=True))
        replay()
        assert int(trainees.step.index) == place + 1


@pytest.mark.gpu
def test_after_work_that_cannot_be_recorded_all_is_as_before() -> None:
    x, graphs = torch.zeros(2**20, device=GPU), CudaGraphs(GPU)

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
def test_between_its_first_and_its_last_batch_an_epoch_never_waits_for_the_gpu(fewer_digits: DataSet) -> None:
    batches = 0

    def watched() -> None:
        nonlocal batches
        batches += 1
        torch.cuda.set_sync_debug_mode("error" if 0 < batches < len(fewer_digits.train_labels) // BATCH else "default")

    with deterministic():
        trainees = PackTrainer([Member(config) for config in runs()[:3]], fewer_digits.to(GPU), GPU)
        trainees.do_step = trainees.step
        try:
            trainees.train_epoch(watched)
        finally:
            torch.cuda.set_sync_debug_mode("default")
