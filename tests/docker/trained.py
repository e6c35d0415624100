"""Train a small pack as whoever runs this, and print what came out: the same numbers in every environment of a machine.

Run in the worker's image and beside it by ``image.sh``, which compares the two.
"""

from __future__ import annotations

import json
import os
import sys

from walking_noise import RunConfig, train

PACK = [
    RunConfig.from_dict({"model.name": "lenet5", "model.batch_norm": True, "noise.std": std, "training.epochs": 1})
    for std in (0.0, 0.1, 10.0)
]
OF_THE_OCCASION = ("seconds", "provenance")

if __name__ == "__main__":
    if os.getuid() == 0 and "--not-as-root" in sys.argv:
        sys.exit("trained.py: this is root, where an ordinary user was asked for")
    for result in train(PACK, device="cpu", processes=1):
        document = result.to_document()
        print(json.dumps({name: value for name, value in document.items() if name not in OF_THE_OCCASION}))
