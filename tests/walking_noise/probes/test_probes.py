"""Probes of trained networks."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from walking_noise import RunConfig, WalkingNoiseError, data
from walking_noise.data import DataSet
from walking_noise.data.batches import validation_blocks
from walking_noise.evaluation.shared_prefix import BLOCK
from walking_noise.noise.injection import Injection
from walking_noise.probes import Findings, probe
from walking_noise.probes.activations import ProbedNetwork, Recorder, arriving_at, leaving_from
from walking_noise.probes.clusters import find_clusters
from walking_noise.probes.distribution import distribution
from walking_noise.training.member import TrainedNetwork
from walking_noise.training.trainer import train_pack

CPU = torch.device("cpu")
SETTINGS = {"model.batch_norm": True, "training.epochs": 15, "training.learning_rate": 3e-3}
NOISE = {"noise.kind": "multiplicative", "noise.std": 1e10, "noise.point": 7}
CONFIG = RunConfig.from_dict({**SETTINGS, **NOISE})
MIXED = {"noise.kind": "mixed", "noise.std_mul": 0.5, "noise.std_add": 0.25}


@pytest.fixture(scope="module")
def all_digits() -> DataSet:
    return data.load("mnist5k")


@pytest.fixture(scope="module")
def networks(all_digits: DataSet) -> tuple[TrainedNetwork, TrainedNetwork]:
    """A network trained with noise at point 7, and one with the same settings without noise."""
    noisy, noise_free = train_pack([CONFIG, CONFIG.without_noise()], all_digits, CPU)
    return noisy, noise_free


@pytest.fixture(scope="module")
def findings(networks: tuple[TrainedNetwork, TrainedNetwork], all_digits: DataSet) -> tuple[Findings, Findings]:
    configs = (CONFIG, CONFIG.without_noise())
    noisy, noise_free = (probe(c, n, all_digits, CPU, 600) for c, n in zip(configs, networks, strict=True))
    return noisy, noise_free


def test_strong_multiplicative_noise_causes_three_clusters(findings: tuple[Findings, Findings]) -> None:
    """Walking Noise v1, figure 4: the noisy layer uses few values, and quantisation to these keeps the accuracy."""
    noisy, noise_free = findings
    seventh = noisy.points[7].arriving
    assert seventh.clusters.count == 3
    assert noise_free.points[7].arriving.clusters.count == 1
    assert noisy.noise_on is not None
    assert noisy.noise_on > 0.85
    assert seventh.noise_on == pytest.approx(noisy.noise_on, abs=0.03)
    assert noisy.noise_off < 0.3
    assert noisy.points[7].leaving is not None
    assert 0.5e10 < noisy.points[7].leaving.clusters.peak < 2e10


def test_accuracies_are_those_of_the_training(
    findings: tuple[Findings, Findings], networks: tuple[TrainedNetwork, TrainedNetwork]
) -> None:
    (noisy, noise_free), (trained_noisy, trained_without) = findings, networks
    assert noisy.noise_on == trained_noisy.evaluations[-1].accuracy
    assert (noise_free.noise_on, noise_free.noise_off) == (None, trained_without.evaluations[-1].accuracy)


def test_every_point_and_layer_is_probed(networks: tuple[TrainedNetwork, TrainedNetwork], all_digits: DataSet) -> None:
    reported: list[str] = []
    found = probe(CONFIG, networks[0], all_digits, CPU, 100, reported.append)
    names = [point.name for point in CONFIG.points]
    layers = ["fc1", "fc2", "fc3", "fc4"]
    assert [point.name for point in found.points] == names
    assert [layer.layer for layer in found.layers] == layers
    assert reported == [*names, *(f"weights of {layer}" for layer in layers)]
    assert [point.leaving is not None for point in found.points] == [number == 7 for number in range(11)]
    assert [point.std_mul for point in found.points] == [1e10 if number == 7 else 0 for number in range(11)]
    assert [point.arriving.distribution.size for point in found.points][:2] == [100 * 784, 100 * 64]
    assert [layer.weights.distribution.size for layer in found.layers] == [784 * 64, 64 * 64, 64 * 64, 640]


def test_a_run_without_noise_is_measured_without_noise(findings: tuple[Findings, Findings]) -> None:
    _, noise_free = findings
    values = [point.arriving for point in noise_free.points] + [layer.weights for layer in noise_free.layers]
    assert all(each.noise_on is None and each.noise_off is not None for each in values)
    assert all(point.leaving is None for point in noise_free.points)


def test_values_are_those_of_the_forward_pass(digits: DataSet) -> None:
    """The values are those of the first samples, before and after the injection, from two blocks."""
    config = RunConfig.from_dict({**SETTINGS, **MIXED, "training.epochs": 1})
    (trained,) = train_pack([config], digits, CPU)
    recorder = Recorder(255)
    network = ProbedNetwork(config, trained, digits, CPU)
    network.accuracy(noise=True, wrap_injection=recorder.wrap_injection)
    noise, inputs = Injection([config], "inference", CPU), []
    for start, x, _ in validation_blocks(digits, BLOCK):
        inputs.append(noise.at((1, start // BLOCK))(0, x.unsqueeze(0))[0])
    inputs_of_point, outputs = (torch.from_numpy(values) for values in (recorder.arriving(0), recorder.leaving(0)))
    assert torch.equal(outputs, torch.cat(inputs)[:255].flatten())
    assert len(inputs_of_point) == 255 * 784
    assert torch.equal(inputs_of_point, torch.cat([x for _, x, _ in validation_blocks(digits, BLOCK)])[:255].flatten())
    linear = outputs.view(255, 784) @ trained.state["layers.fc1.weight"].T + trained.state["layers.fc1.bias"]
    assert torch.allclose(torch.from_numpy(recorder.arriving(1)), linear.flatten(), atol=1e-4)


def test_quantisation_at_the_input_equals_quantised_data(
    networks: tuple[TrainedNetwork, TrainedNetwork], all_digits: DataSet
) -> None:
    config, trained = CONFIG.without_noise(), networks[1]
    pixels = np.concatenate([x.flatten().numpy() for _, x, _ in validation_blocks(all_digits, BLOCK)][:1])
    split = find_clusters(pixels)
    network = ProbedNetwork(config, trained, all_digits, CPU)
    quantised = network.accuracy(noise=False, wrap_injection=partial(arriving_at, 0, split.quantise))
    binary = (all_digits.validation_samples > split.threshold * 255).float() * split.positive
    weights = {name.removeprefix("layers."): tensor for name, tensor in trained.state.items()}
    x = binary.flatten(1)
    for layer in (1, 2, 3):
        x = x @ weights[f"fc{layer}.weight"].T + weights[f"fc{layer}.bias"]
        mean, variance = weights[f"bn{layer}.running_mean"], weights[f"bn{layer}.running_var"]
        x = (x - mean) / (variance + 1e-5).sqrt() * weights[f"bn{layer}.weight"] + weights[f"bn{layer}.bias"]
        x = x.relu()
    logits = x @ weights["fc4.weight"].T + weights["fc4.bias"]
    correct = int((logits.argmax(1) == all_digits.validation_labels).sum())
    assert quantised == pytest.approx(correct / len(binary), abs=2e-3)


def test_a_change_after_the_injection_sees_the_noise(
    networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet
) -> None:
    network = ProbedNetwork(CONFIG, networks[0], digits, CPU)
    seen: dict[str, list[float]] = {"before": [], "after": []}

    def watch(side: str) -> float:
        def change(values: torch.Tensor) -> torch.Tensor:
            seen[side].append(float(values.abs().max()))
            return values

        wrap_injection = partial({"before": arriving_at, "after": leaving_from}[side], 7, change)
        return network.accuracy(noise=True, wrap_injection=wrap_injection)

    assert watch("before") == watch("after") == network.accuracy(noise=True)
    assert max(seen["before"]) < 1e3
    assert min(seen["after"]) > 1e9


def test_changed_weights_are_restored(networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet) -> None:
    network = ProbedNetwork(CONFIG.without_noise(), networks[1], digits, CPU)
    before = network.accuracy(noise=False)
    with network.changed_weights("fc2", torch.zeros_like):
        assert network.accuracy(noise=False) < before
        assert not network.weights()["fc2"].any()
    assert network.accuracy(noise=False) == before
    assert np.array_equal(network.weights()["fc2"], networks[1].state["layers.fc2.weight"].flatten().numpy())


def test_a_network_of_another_model_is_an_error(
    networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet
) -> None:
    other = RunConfig.from_dict({"noise.kind": "none", "training.epochs": 15})
    with pytest.raises(WalkingNoiseError, match="does not fit the run's model"):
        ProbedNetwork(other, networks[1], digits, CPU)
    narrower = {name: tensor[:1] for name, tensor in networks[1].state.items() if tensor.dim()}
    smaller = dataclasses.replace(networks[1], state={**networks[1].state, **narrower})
    with pytest.raises(WalkingNoiseError, match="does not fit the run's model"):
        ProbedNetwork(CONFIG, smaller, digits, CPU)


def test_an_overflown_network_is_refused_in_one_line(
    networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet
) -> None:
    state = {name: torch.full_like(tensor, float("nan")) for name, tensor in networks[1].state.items()}
    with pytest.raises(WalkingNoiseError, match=r"no value at fc1 is finite$"):
        probe(CONFIG.without_noise(), dataclasses.replace(networks[1], state=state), digits, CPU, 10)


def test_findings_are_the_same_every_time(networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet) -> None:
    assert probe(CONFIG, networks[0], digits, CPU, 50) == probe(CONFIG, networks[0], digits, CPU, 50)


def test_findings_have_the_distribution_of_the_values(findings: tuple[Findings, Findings]) -> None:
    values = findings[1].layers[3].weights
    assert values.distribution.size == 640
    assert distribution(np.zeros(3, np.float32)).zeros == 1
    assert findings[1].points[3].arriving.distribution.zeros > 0.3  # rectified
    assert findings[1].points[3].arriving.distribution.negative is None


@pytest.mark.gpu
def test_findings_on_a_gpu_equal_those_on_a_cpu_except_for_draws(
    networks: tuple[TrainedNetwork, TrainedNetwork], digits: DataSet
) -> None:
    here, there = (probe(CONFIG, networks[0], digits, torch.device(name), 200) for name in ("cpu", "cuda"))
    assert there.points[7].arriving.clusters.count == here.points[7].arriving.clusters.count == 3
    assert there.noise_on == pytest.approx(here.noise_on, abs=0.05)
    for on_cpu, on_gpu in zip(here.layers, there.layers, strict=True):
        assert on_gpu.weights.clusters == on_cpu.weights.clusters
