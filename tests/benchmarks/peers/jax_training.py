"""Ensemble of networks in JAX: vmap over the runs, scan over the steps of a chunk, jitted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks.peers.ensemble import initial_state
from tests.benchmarks.peers.usual_training import plain_network
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.pack.stacking import StackedState

# One thread, set before JAX starts. JAX is no dependency, so it is imported without types.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["NPROC"] = "1"
jax: Any = import_module("jax")
jnp: Any = import_module("jax.numpy")
jax.config.update("jax_cpu_enable_async_dispatch", False)

CHUNK = 5
BETAS, EPS = (0.9, 0.999), 1e-8
"""Of Adam, torch's defaults."""


class JaxEnsemble:
    """The layers of the plain network in ``jax.numpy``, and Adam."""

    chunk = CHUNK

    def __init__(self, configs: Sequence[RunConfig], images: DataSet) -> None:
        self.configs, self.rate = configs, configs[0].training.learning_rate
        self.layers = list(plain_network(configs[0]).named_children())
        self.inputs = jnp.asarray(images.transform.validation_inputs(images.train_samples).numpy())
        self.labels = jnp.asarray(images.train_labels.numpy())
        self.shared = len({config.seed for config in configs}) == 1
        self.key = jax.random.key(0)
        self._chunk = jax.jit(self._scan)
        self._logits = jax.jit(jax.vmap(self._forward, (0, 0, None, None, None)), static_argnums=4)

    def reset(self, configs: Sequence[RunConfig], noisy: bool = True) -> None:
        self.parameters, self.statistics = (_arrays(state) for state in initial_state(configs, noisy))
        zeros = jax.tree.map(jnp.zeros_like, self.parameters)
        self.adam = zeros, zeros, jnp.zeros(())

    def train(self, samples: Tensor) -> Tensor:
        state = self.parameters, self.statistics, self.adam, self.key
        state, losses = self._chunk(state, samples.numpy(), self.inputs, self.labels)
        self.parameters, self.statistics, self.adam, self.key = state
        return _tensor(losses)

    def logits(self, x: Tensor, training: bool) -> Tensor:
        logits, statistics = self._logits(self.parameters, self.statistics, x.numpy(), self.key, training)
        self.statistics = statistics
        return _tensor(logits)

    def buffers(self) -> StackedState:
        return {name: _tensor(stack) for name, stack in self.statistics.items()}

    def _scan(self, state: Any, samples: Any, inputs: Any, labels: Any) -> Any:
        """Steps on the mini-batches ``samples`` (steps, 1 or K, batch); the new state, and the losses (steps, K)."""
        shared = None if self.shared else 0
        gradients = jax.vmap(jax.value_and_grad(self._loss, has_aux=True), (0, 0, shared, shared, 0))

        def step(state: Any, batch: Any) -> Any:
            parameters, statistics, (first, second, done), key = state
            key, *keys = jax.random.split(key, len(self.configs) + 1)
            batch, done = batch[0] if self.shared else batch, done + 1
            (losses, statistics), gradient = gradients(
                parameters, statistics, inputs[batch], labels[batch], jnp.stack(keys)
            )
            decay, decay2 = BETAS
            first = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, first, gradient)
            second = jax.tree.map(lambda v, g: decay2 * v + (1 - decay2) * g * g, second, gradient)

            def update(p: Any, m: Any, v: Any) -> Any:
                return p - self.rate * m / (1 - decay**done) / (jnp.sqrt(v / (1 - decay2**done)) + EPS)

            parameters = jax.tree.map(update, parameters, first, second)
            return (parameters, statistics, (first, second, done), key), losses

        return jax.lax.scan(step, state, samples)

    def _loss(self, parameters: Any, statistics: Any, x: Any, y: Any, key: Any) -> Any:
        logits, statistics = self._forward(parameters, statistics, x, key, True)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean(), statistics

    def _forward(self, parameters: Any, statistics: Any, x: Any, key: Any, training: bool) -> Any:
        """The logits of one run and the new statistics of BatchNorm."""
        statistics = dict(statistics)
        for number, (name, layer) in enumerate(self.layers):
            own = {
                key.removeprefix(f"{name}."): value
                for key, value in (parameters | statistics).items()
                if key.startswith(f"{name}.")
            }
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                axes = (0, *range(2, x.ndim))
                if training:
                    mean, variance, size = x.mean(axes), x.var(axes), x.size // x.shape[1]
                    for statistic, value in (("mean", mean), ("var", variance * size / (size - 1))):
                        old = own[f"running_{statistic}"]
                        statistics[f"{name}.running_{statistic}"] = old + layer.momentum * (value - old)
                else:
                    mean, variance = own["running_mean"], own["running_var"]
                scale = own["weight"] * jax.lax.rsqrt(variance + layer.eps)
                x = _along_channels(x, scale) * (x - _along_channels(x, mean)) + _along_channels(x, own["bias"])
            elif "add" in own:
                x += own["add"] * jax.random.normal(jax.random.fold_in(key, number), x.shape)
            else:
                x = _plain(layer, own, x)
        return x, statistics


def _plain(layer: nn.Module, own: dict[str, Any], x: Any) -> Any:
    """A layer without state of its own, given its parameters."""
    match layer:
        case nn.Conv2d():
            # Copies of the input and a product: XLA's convolutions with weights for each run take 4 times as long.
            weight = own["weight"]
            outputs, inputs, rows, columns = weight.shape
            height, width = x.shape[2] - rows + 1, x.shape[3] - columns + 1
            shifted = [x[:, :, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
            patches = jnp.stack(shifted, 2).reshape(len(x), inputs * rows * columns, height, width)
            x = jnp.einsum("bphw,op->bohw", patches, weight.reshape(outputs, -1))
            return x + _along_channels(x, own["bias"])
        case nn.Linear():
            return x @ own["weight"].T + own["bias"]
        case nn.ReLU():
            return jax.nn.relu(x)
        case nn.MaxPool2d(kernel_size=2):
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        case nn.Flatten():
            return x.reshape(len(x), -1)
    raise NotImplementedError(f"{layer} is not written in JAX")


def _along_channels(x: Any, values: Any) -> Any:
    """Values ``(C,)`` in the shape in which they broadcast to ``x`` ``(B, C, …)``."""
    return values.reshape(-1, *[1] * (x.ndim - 2))


def _arrays(state: StackedState) -> dict[str, Any]:
    return {name: jnp.asarray(stack.numpy()) for name, stack in state.items() if stack.is_floating_point()}


def _tensor(array: Any) -> Tensor:
    return torch.tensor(jax.device_get(array))
