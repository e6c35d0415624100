"""Digest of the code: it changes with the code of a run's own training, and with no other code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from walking_noise import RunConfig
from walking_noise.checkpoints.code_digest import CHOSEN, ORGANISING, PACKAGE, code_digest

BOX = {"noise.kind": "box", "noise.std": 0.5}
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "noisy": {"noise.std": 0.5},
    "own distribution": BOX,
    "own distribution at inference": BOX | {"noise.in_training": False},
    "lenet5": {"model.name": "lenet5", "data.name": "cifar10"},
    "own model": {"model.name": "blocky"},
    "mnist": {"data.name": "mnist"},
    "svhn": {"data.name": "svhn"},
    "gsc": {"data.name": "gsc"},
}
PARTS = {
    "noise/kinds/box.py": (
        "from walking_noise.noise.kind import Levels, NoiseKind\n"
        "def draw(out, generator):\n"
        "    from .box_draws import fill\n"
        "    fill(out, generator)\n"
        "KIND = NoiseKind('box', settings=(('std',),), levels=lambda std: Levels(0.0, std), draw=draw)\n"
    ),
    "noise/kinds/box_draws.py": "def fill(out, generator): out.uniform_(-1, 1, generator=generator)\n",
    "models/architectures/blocky.py": (
        "from walking_noise.models.architectures import blocks\n"
        "from walking_noise.models.model import Model\n"
        "MODEL = Model('blocky', blocks.build)\n"
    ),
    "models/architectures/blocks.py": "from walking_noise.models.architectures.mlp import build\n",
}
"""A noise kind with its own distribution and a model, each with a module that it imports, added to the package."""
NEW = {
    "noise/kinds/new.py": "from walking_noise.noise.kind import Levels, NoiseKind\n"
    "KIND = NoiseKind('new', settings=(('std',),), levels=lambda std: Levels(std, 0.0))\n",
    "models/architectures/new.py": "from walking_noise.models.architectures.mlp import build\n"
    "from walking_noise.models.model import Model\n"
    "MODEL = Model('new', build)\n",
    "data/sets/new.py": "import dataclasses\n"
    "from walking_noise.data.sets import mnist\n"
    "DATA_SET = dataclasses.replace(mnist.DATA_SET, name='new')\n",
}
NONE, EVERY = frozenset[str](), frozenset(RUNS)
AFFECTED: dict[str, Set[str]] = {
    **dict.fromkeys(NEW, NONE),
    "noise/kinds/additive.py": NONE,  # its levels are part of the key
    "noise/kinds/box.py": {"own distribution"},
    "noise/kinds/box_draws.py": {"own distribution"},
    "models/architectures/lenet5.py": {"lenet5"},
    "models/architectures/blocky.py": {"own model"},
    "models/architectures/blocks.py": {"own model"},
    "models/architectures/mlp.py": EVERY - {"lenet5"},
    "data/sets/mnist.py": {"mnist"},
    "data/images/idx_format.py": {"mnist"},
    "data/sets/cifar10.py": {"lenet5", "svhn"},
    "data/sets/svhn.py": {"svhn"},
    "data/speech/mfcc.py": {"gsc"},
    **dict.fromkeys(
        [
            "version.py",
            "reproducibility.py",
            "config/keys.py",
            "data/loading.py",
            "models/__init__.py",
            "models/model.py",
            "noise/kind.py",
            "noise/rng/triton_kernels.py",
            "pack/layers/linear.py",
            "training/adam/fused_cpu_update.py",
            "training/trainer.py",
            "training/new.py",
            "evaluation/evaluator.py",
            "checkpoints/checkpoint_format.py",
        ],
        EVERY,
    ),
    "__init__.py": NONE,
    "probes/probe.py": NONE,
    "runtime/worker_pool.py": NONE,
    "runtime/sizing/capacity.py": NONE,
}
"""The runs whose digest changes, for each file that is changed or added."""
SCRIPT = """
import importlib, json, sys
from pathlib import Path
import torch
from walking_noise import RunConfig
from walking_noise.checkpoints import code_digest
from walking_noise.checkpoints.network_cache import NetworkCache

package = Path("walking_noise").resolve()
assert code_digest.PACKAGE == package
runs, new, changes = json.loads(sys.argv[1])

def digests():
    importlib.invalidate_caches()
    code_digest._digest.cache_clear()
    cache, configs = NetworkCache(".", torch.device("cpu"), "data"), map(RunConfig.from_dict, runs.values())
    return {name: (code_digest.code_digest(one), cache.name(one)) for name, one in zip(runs, configs)}

parsed, imports = {}, code_digest._imports.__wrapped__

def imports_of(name, file):
    key = name, file.read_bytes()
    if key not in parsed:
        parsed[key] = imports(name, file)
    return parsed[key]

code_digest._imports = imports_of
found = {"": digests()}
for path in changes:
    file = package / path
    before = file.read_text() if file.exists() else None
    file.write_text(new.get(path, (before or "") + "# changed"))
    found[path] = digests()
    file.unlink() if before is None else file.write_text(before)
assert digests() == found[""]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Digest and file name of the network of each run, for each changed file of a copy of the package."""
    folder = tmp_path_factory.mktemp("checkout")
    copy = shutil.copytree(PACKAGE, folder / "walking_noise", ignore=shutil.ignore_patterns("__pycache__"))
    for path, code in PARTS.items():
        (Path(copy) / path).write_text(code)
    command = [sys.executable, "-c", SCRIPT, json.dumps([RUNS, NEW, list(AFFECTED)])]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    digests: dict[str, dict[str, list[str]]] = json.loads(finished.stdout)
    return digests


@pytest.mark.parametrize("path", AFFECTED)
def test_a_changed_file_affects_the_runs_that_use_it(path: str, found: dict[str, dict[str, list[str]]]) -> None:
    for part in (0, 1):
        changed = {name for name in RUNS if found[path][name][part] != found[""][name][part]}
        assert changed == AFFECTED[path]


def test_runs_of_equal_network_key_have_equal_digests() -> None:
    one = RunConfig.from_dict({"noise.std": 0.5})
    other = RunConfig.from_dict({"noise.kind": "mixed", "noise.amplitude": 0.5, "noise.ratio": 1.0})
    assert one.network_key == other.network_key
    assert code_digest(one) == code_digest(other)


def test_the_named_folders_exist() -> None:
    assert [folder for folder in (*CHOSEN, *ORGANISING) if not (PACKAGE / folder).is_dir()] == []
