"""Training of a small pack, whose printed results must be equal in every environment of a machine.

``image.sh`` runs it in the worker image and outside of it and compares the output.
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
VARYING_FIELDS = ("seconds", "provenance")

if __name__ == "__main__":
    if os.getuid() == 0 and "--not-as-root" in sys.argv:
        sys.exit("trained.py: running as root, but --not-as-root is given")
    for result in train(PACK, device="cpu", processes=1):
        document = result.to_document()
        print(json.dumps({name: value for name, value in document.items() if name not in VARYING_FIELDS}))
