"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): clothes, 60,000 images for training and 10,000 for validation."""

from __future__ import annotations

from walking_noise.data.images import idx_format
from walking_noise.data.images.image_transform import ImageTransform
from walking_noise.data.images.published_images import PublishedImages, torchvision_download

DATA_SET = PublishedImages(
    name="fashion_mnist",
    shape=(1, 28, 28),
    classes=10,
    transforms={
        "release": ImageTransform(crop_padding=4, flip=True, mean=(0.5,), std=(0.5,)),
        "none": ImageTransform(),
    },
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    folders=("FashionMNIST/raw", "/usr/share/datasets/fashion-mnist"),
    decode=idx_format.decode_files,
    download=torchvision_download("FashionMNIST"),
    package="apt-get install dataset-fashion-mnist",
)
