"""Transformer block on the patches of an image, with noise points of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from walking_noise.models.model import Model
from walking_noise.models.noise_points import NoisePoint

PATCH, WIDTH, HEADS = 7, 20, 2


class PatchTransformer(nn.Module):
    """Patches with learned positions, a block of attention and MLP, then torch's encoder layer."""

    def __init__(self, channels: int, patches: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(channels, WIDTH, PATCH, stride=PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(patches, WIDTH))
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 3 * WIDTH), nn.GELU(), nn.Linear(3 * WIDTH, WIDTH))
        self.encoder = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, classes)
        self.after_embedding = NoisePoint("embedding")
        self.after_attention = NoisePoint("attention")
        self.after_mlp = NoisePoint("mlp")
        self.encoder.add_module(
            "dropout1", NoisePoint("encoder.attention")
        )  # the module that torch calls after attention
        self.after_head = NoisePoint("head")

    def forward(self, images: Tensor) -> Tensor:
        x = self.after_embedding(self.embedding(images).flatten(2).transpose(1, 2) + self.positions)
        y = self.norm1(x)
        x = x + self.after_attention(self.attention(y, y, y, need_weights=False)[0])
        x = x + self.after_mlp(self.mlp(self.norm2(x)))
        logits: Tensor = self.after_head(self.head(self.encoder(x).mean(1)))
        return logits


def build(inputs: tuple[int, ...], classes: int, batch_norm: bool) -> nn.Module:
    """The network for images with height and width that are multiples of the patch size."""
    channels, height, width = inputs
    if batch_norm or height % PATCH or width % PATCH:
        raise ValueError(f"patch_transformer has no BatchNorm and needs images of whole patches, {PATCH}×{PATCH}")
    return PatchTransformer(channels, height // PATCH * (width // PATCH), classes)


MODEL = Model("patch_transformer", build)
