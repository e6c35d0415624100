"""ResNet-20 for CIFAR-10 (He et al. 2015, section 4.2): three stages of three residual blocks.

The shortcuts have no parameters (the article's option A): where a stage halves the image and doubles the channels,
they take every second pixel and pad the channels with zeros. The convolutions have no bias before BatchNorm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from walking_noise.models.model import Model

if TYPE_CHECKING:
    from torch import nn

STAGES = (16, 32, 64)
"""Channels of the stages."""
BLOCKS = 3
"""Blocks of a stage."""


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """The network for inputs (channels, height, width) of any size."""
    import torch.nn.functional as F
    from torch import Tensor, nn

    def convolution(channels: int, filters: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(channels, filters, 3, stride, padding=1, bias=not batch_norm)

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()

    class Block(nn.Module):
        """Two convolutions and the shortcut around them."""

        def __init__(self, channels: int, filters: int, stride: int) -> None:
            super().__init__()
            self.stride, self.added = stride, filters - channels
            self.conv1, self.bn1, self.relu1 = convolution(channels, filters, stride), norm(filters), nn.ReLU()
            self.conv2, self.bn2, self.relu2 = convolution(filters, filters, 1), norm(filters), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
            if self.added:
                x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.added // 2, self.added // 2))
            z: Tensor = self.relu2(y + x)
            return z

    class ResNet20(nn.Module):
        """A convolution, the stages, and a linear layer on the mean over the image."""

        def __init__(self) -> None:
            super().__init__()
            channels = STAGES[0]
            self.conv1, self.bn1, self.relu1 = convolution(inputs[0], channels, 1), norm(channels), nn.ReLU()
            for stage, filters in enumerate(STAGES, start=1):
                blocks = nn.Sequential()
                for number in range(BLOCKS):
                    blocks.append(Block(channels, filters, 2 if number == 0 and stage > 1 else 1))
                    channels = filters
                self.add_module(f"stage{stage}", blocks)
            self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
            self.fc = nn.Linear(channels, classes)

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu1(self.bn1(self.conv1(x)))
            for stage in range(1, len(STAGES) + 1):
                x = self.get_submodule(f"stage{stage}")(x)
            logits: Tensor = self.fc(self.flatten(self.pool(x)))
            return logits

    return ResNet20()


MODEL = Model("resnet20", build)
