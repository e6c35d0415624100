"""Shared prefix: shared activations are computed once, and the results equal those of single runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from tests.walking_noise.parts import new_models
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.batches import validation_blocks
from walking_noise.evaluation.evaluator import evaluate
from walking_noise.evaluation.noise_before_product import passes_through_product
from walking_noise.evaluation.shared_prefix import BLOCK, SharedPrefix, unchanged
from walking_noise.models.noise_points import Inject
from walking_noise.noise.audit import Audit
from walking_noise.noise.injection import Injection
from walking_noise.noise.rng.cpu_generators import GeneratorNoise, SharedDraws
from walking_noise.pack.pack import Pack
from walking_noise.pack.stacking import load_states
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
MODELS: list[dict[str, Any]] = [
    {"model.name": "mlp", "model.batch_norm": True},
    {"model.name": "lenet5", "model.batch_norm": True},
    {"model.name": "residual", "model.batch_norm": True},
    {"model.name": "patch_transformer"},
]
LENET5: dict[str, Any] = {"model.name": "lenet5"}


def marked(models: Sequence[dict[str, Any]]) -> list[Any]:
    """Models as parameters, and LeNet-5 without BatchNorm as one of a slow test."""
    names = [("-".join(map(str, model.values())), model) for model in (*models, LENET5)]
    return [pytest.param(model, id=name, marks=[pytest.mark.slow] * (model is LENET5)) for name, model in names]


@pytest.fixture(scope="module", autouse=True)
def added() -> Iterator[None]:
    with new_models():
        yield


def trained(model: dict[str, Any], data: DataSet) -> Pack:
    """Two trained networks."""
    configs = [RunConfig.from_dict({**model, "noise.kind": "none", "training.epochs": 1, "seed": s}) for s in (0, 1)]
    pack = Pack([config.initial_network() for config in configs])
    load_states(pack.stacked_state(), [one.state for one in train_pack(configs, data, CPU)])
    return pack


def study(model: dict[str, Any]) -> tuple[list[int], list[RunConfig]]:
    """Runs on both members in random order: all points at two levels, noise at several points, and no noise.

    Larger networks have the two levels in turn.

    The second member has every second of the first one's.
    """
    noise: list[dict[str, Any]] = [{"noise.std": 0.5}]
    points = len(RunConfig.from_dict(model).points)
    both = model["model.name"] == "mlp" or model is LENET5
    levels = [(0.3, 1e16) if both else ((0.3, 1e16)[point // 2 % 2],) for point in range(points)]
    noise += [{"noise.std": std, "noise.point": point} for point in range(points) for std in levels[point]]
    mixed = {"noise.kind": "mixed", "noise.std_mul": 0.5, "noise.std_add": 0.1}
    noise += [{**mixed, "noise.point": points // 2}]
    noise += [
        {**mixed, "noise.point": 0, "noise.in_training": False, "noise.order": o}
        for o in ("multiply_first", "add_first")
    ]
    noise += [{"noise.kind": "multiplicative", "noise.std": 0.5, "noise.point": 0, "noise.in_training": False}]
    runs = [
        (
            seed,
            RunConfig.from_dict(
                {**model, **one, "seed": seed} | ({"noise.in_training": False} if "noise.std" in one else {})
            ),
        )
        for seed in (0, 1)
        for one in noise[:: 1 + seed]
    ]
    order = torch.randperm(len(runs), generator=torch.Generator().manual_seed(1)).tolist()
    members, configs = zip(*(runs[index] for index in order), strict=True)
    return list(members), list(configs)


@torch.no_grad()
def evaluate_alone(pack: Pack, member: int, config: RunConfig, data: DataSet) -> tuple[Tensor, dict[str, Any]]:
    """The logits and the audit of a single run, computed from the input without sharing."""
    audit, noise = Audit(len(config.points), 1), Injection([config], "inference", CPU)
    logits: list[Tensor] = []
    state = {name: stack[[member]] for name, stack in pack.eval().stacked_state().items()}
    for start, x, _ in validation_blocks(data, BLOCK):
        inject = noise.at((1, start // BLOCK), audit=None if start else audit)
        logits.append(functional_call(pack, state, (x.unsqueeze(0), inject)))
    return torch.cat(logits, 1), audit.of(0)


def shared(
    pack: Pack,
    members: Sequence[int],
    configs: Sequence[RunConfig],
    data: DataSet,
    group_size: int | None = None,
    audited: bool = False,
) -> tuple[Any, dict[int, dict[str, Any]]]:
    """The logits of runs that share their prefixes, by run, and their audits."""
    prefix = SharedPrefix(
        pack, members, configs, 1, wrap_injection=unchanged, audited=audited, group_size=group_size, data=data
    )
    with torch.no_grad():
        blocks = [
            torch.cat(list(prefix.logits(x.unsqueeze(0), start // BLOCK)))
            for start, x, _ in validation_blocks(data, BLOCK)
        ]
    return dict(zip(prefix.runs, torch.cat(blocks, 1), strict=True)), prefix.audits() if audited else {}


@pytest.mark.parametrize("model", marked(MODELS))
def test_every_run_has_the_numbers_of_a_single_run(model: dict[str, Any], digits: DataSet) -> None:
    pack = trained(model, digits)
    members, configs = study(model)
    single = [evaluate_alone(pack, *run, digits) for run in zip(members, configs, strict=True)]
    for group_size, audited in ((None, True), (1, False), (5, True)):
        logits, audits = shared(pack, members, configs, digits, group_size, audited)
        for run, (expected, audit) in enumerate(single):
            if not passes_through_product(pack, configs[run]):
                assert torch.equal(logits[run].view(torch.int32), expected[0].view(torch.int32))
            if audited:
                assert audits[run] == audit


@pytest.mark.parametrize("model", marked(MODELS[:-1]))
def test_noise_in_front_of_a_product(model: dict[str, Any], digits: DataSet) -> None:
    """Many runs give the logits of a single run bitwise, and to rounding those with the noise added to the values."""
    pack = trained(model, digits).eval()
    runs = [run for run in zip(*study(model), strict=True) if passes_through_product(pack, run[1])]
    assert runs
    members, configs = zip(*runs, strict=True)
    together, _ = shared(pack, members, configs, digits)
    for run, (member, config) in enumerate(runs):
        alone = shared(pack, [member], [config], digits)[0][0]
        assert torch.equal(together[run].view(torch.int32), alone.view(torch.int32))
        direct = evaluate_alone(pack, member, config, digits)[0][0]
        torch.testing.assert_close(alone, direct, rtol=1e-3, atol=1e-4 * float(direct.abs().max()))


def test_clean_activations_are_computed_once(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a walking study each layer computes the runs with noise before it, and once the activations of the others.

    Of the noise directly in front of a product, it computes that at level 1.
    """
    model = {"model.name": "mlp", "noise.in_training": False}
    pack = Pack([RunConfig.from_dict({"model.name": "mlp"}).initial_network()])
    points, levels = len(RunConfig().points), (0.1, 1.0, 10.0, 100.0)
    study = [
        RunConfig.from_dict({**model, "noise.std": std, "noise.point": point})
        for point in range(points)
        for std in levels
    ]
    computed: Counter[str] = Counter()
    for name, layer in pack.layers.items():
        layer.register_forward_hook(lambda layer, x, y, name=name: computed.update({name: len(y) * y.shape[1]}))
    blocks: list[int] = []
    inputs = type(digits.transform).validation_inputs

    def counted(transform: Any, stored: Tensor) -> Tensor:
        blocks.append(len(stored))
        return inputs(transform, stored)

    monkeypatch.setattr(type(digits.transform), "validation_inputs", counted)
    evaluate(pack, [0] * len(study), study, digits, 1)
    samples = len(digits.validation_labels)
    in_front = {"flatten": 0, "fc1": 0, "relu1": 2, "fc2": 2, "relu2": 4, "fc3": 4, "relu3": 6, "fc4": 6}
    noise_alone = {name: 0 if name.startswith("relu") else 2 for name in in_front}  # 1 for the values, 1 for the noise
    assert computed == {
        name: (1 + len(levels) * points + noise_alone[name]) * samples for name, points in in_front.items()
    }
    assert blocks == [250, 10], "the inputs are computed once for all runs"


def test_noise_is_drawn_once_for_all_groups_of_a_seed(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[int] = Counter()
    draw = GeneratorNoise._draw

    def counted(sampler: GeneratorNoise, shared: SharedDraws, out: Tensor) -> Tensor:
        drawn[shared.seed] += len(out)
        return draw(sampler, shared, out)

    monkeypatch.setattr(GeneratorNoise, "_draw", counted)
    pack, points = Pack([RunConfig().initial_network()]), (1, 3)
    runs = [
        RunConfig.from_dict({"noise.std": std, "noise.point": point, "noise.seed": seed})
        for seed in (5, 6)
        for point in points
        for std in (0.1, 1.0, 10.0)
    ]
    evaluate(pack, [0] * len(runs), runs, digits, 1, group_size=1)
    assert drawn == {seed: len(points) * len(digits.validation_labels) for seed in (5, 6)}


def test_a_wrapped_injection_gets_shared_activations_once(digits: DataSet) -> None:
    seen: list[tuple[int, int]] = []

    def wrap(inject: Inject) -> Inject:
        def recorded(point: int, x: Tensor, member: int | None = None) -> Tensor:
            y = inject(point, x, member)
            seen.append((point, len(y)))
            return y

        return recorded

    pack = Pack([RunConfig().initial_network()])
    runs = [RunConfig.from_dict({"noise.std": 1.0, "noise.point": 3, "noise.seed": seed}) for seed in range(4)]
    evaluate(pack, [0] * 4, runs, digits, 1, wrap_injection=wrap)
    block = [(0, 1), (1, 1), (2, 1), *((point, 4) for point in range(3, 8))]
    assert seen == block * 2
    seen.clear()
    evaluate(pack, [0], runs[:1], digits, 1, wrap_injection=wrap)
    assert seen == [(point, 1) for point in range(8)] * 2


def test_a_change_of_shared_activations_affects_all_runs(digits: DataSet) -> None:
    def without_signal(inject: Inject) -> Inject:
        return lambda point, x, member=None: inject(point, torch.zeros_like(x) if point == 1 else x, member)

    pack = Pack([RunConfig().initial_network()])
    runs = [RunConfig.from_dict({"noise.std": 1.0, "noise.point": point}) for point in (0, 4, 7)]
    changed = evaluate(pack, [0] * 3, runs, digits, 1, wrap_injection=without_signal)
    assert changed == [evaluate(pack, [0], [run], digits, 1, wrap_injection=without_signal)[0] for run in runs]
    assert changed != evaluate(pack, [0] * 3, runs, digits, 1)


def test_evaluation_can_be_stopped_between_batches(digits: DataSet) -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise InterruptedError

    runs = [RunConfig.from_dict({"noise.std": 1.0, "noise.seed": seed}) for seed in range(4)]
    with pytest.raises(InterruptedError):
        evaluate(Pack([RunConfig().initial_network()]), [0] * 4, runs, digits, 1, group_size=1, after_batch=stop)
    assert calls == 3


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS[:2], ids=lambda model: model["model.name"])
def test_sharing_changes_only_roundings_on_a_gpu(model: dict[str, Any], digits: DataSet) -> None:
    device, pack = torch.device("cuda"), trained(model, digits).cuda()
    members, configs = study(model)
    low_levels = [run for run, config in enumerate(configs) if max(max(level) for level in config.levels) < 1]
    members, configs = [members[run] for run in low_levels], [configs[run] for run in low_levels]
    on_gpu = digits.to(device)
    logits, _ = shared(pack, members, configs, on_gpu, 7)
    for run, (member, config) in enumerate(zip(members, configs, strict=True)):
        single = shared(pack, [member], [config], on_gpu)[0][0]
        torch.testing.assert_close(logits[run], single, rtol=1e-3, atol=1e-3)
