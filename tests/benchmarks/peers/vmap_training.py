"""Ensemble of plain networks under ``torch.func.vmap``, eager or compiled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from tests.benchmarks.peers.ensemble import initial_state
from tests.benchmarks.peers.usual_training import plain_network
from walking_noise import RunConfig
from walking_noise.data import DataSet
from walking_noise.data.transform import gather
from walking_noise.pack.stacking import StackedState


class VmapEnsemble:
    """Gradients by ``vmap(grad)``, compiled or not, and one fused Adam for the stacked parameters."""

    chunk = 1

    def __init__(self, configs: Sequence[RunConfig], images: DataSet, compiled: bool) -> None:
        self.configs, self.images = configs, images
        self.network = plain_network(configs[0])
        self.parameters, self.statistics = initial_state(configs, noisy=True)
        shared = len({config.seed for config in configs}) == 1
        gradients = vmap(grad_and_value(self._loss), (0, 0, None if shared else 0, 0), randomness="different")
        self.gradients = torch.compile(gradients) if compiled else gradients
        self.shared = shared

    def reset(self, configs: Sequence[RunConfig], noisy: bool = True) -> None:
        for stack, start in zip((self.parameters, self.statistics), initial_state(configs, noisy), strict=True):
            for name, tensor in stack.items():
                tensor.copy_(start[name])
        leaves = [nn.Parameter(tensor) for tensor in self.parameters.values()]
        self.adam = torch.optim.Adam(leaves, lr=configs[0].training.learning_rate, fused=True)
        self.network.train()

    def train(self, samples: Tensor) -> Tensor:
        (batch,) = samples
        x = self.images.transform.validation_inputs(gather(self.images.train_samples, batch))
        y = gather(self.images.train_labels, batch).expand(len(self.configs), -1)
        losses: Tensor
        gradients, losses = self.gradients(self.parameters, self.statistics, x[0] if self.shared else x, y)
        for parameter, gradient in zip(self.adam.param_groups[0]["params"], gradients.values(), strict=True):
            parameter.grad = gradient
        self.adam.step()
        return losses.unsqueeze(0)

    def logits(self, x: Tensor, training: bool) -> Tensor:
        self.network.train(training)
        forward = vmap(self._forward, (0, 0, None), randomness="different")
        logits: Tensor = forward(self.parameters, self.statistics, x)
        return logits

    def buffers(self) -> StackedState:
        return self.statistics

    def _forward(self, parameters: StackedState, statistics: StackedState, x: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, (parameters, statistics), (x,))
        return logits

    def _loss(self, parameters: StackedState, statistics: StackedState, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(self._forward(parameters, statistics, x), y)
