"""Settings can be read, and the parts of the library listed, without importing torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import walking_noise
from walking_noise import data

CODE = {
    "library": "import walking_noise; walking_noise.ConfigError, walking_noise.__version__",
    "settings": "from walking_noise.config.run_config import RunConfig; RunConfig().to_flat()",
    "settings, by the public name": "import walking_noise; walking_noise.RunConfig()",
    "refused settings": """
from walking_noise import ConfigError, RunConfig
try:
    RunConfig.from_dict({"model.name": "resnet"})
except ConfigError as refusal:
    assert "cnn_s, lenet5, mlp, resnet20, vgg11" in str(refusal)
""",
    "data sets": """
from walking_noise import data
[(source.shape, source.transforms, data.status(source.name)) for source in data.sources().values()]
""",
    "kinds of noise": "from walking_noise.noise import noise_kinds; [kind.adds for kind in noise_kinds().values()]",
    "models": "from walking_noise import models; models.models()",
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE.keys())
def test_torch_is_not_imported(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; sys.exit('torch' in sys.modules)"], timeout=120)
    assert done.returncode == 0


@pytest.mark.parametrize("package", [walking_noise, data])
def test_all_public_names_are_listed_and_exist(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert set(names) <= set(dir(package))
    assert all(hasattr(package, name) for name in names)
    assert not hasattr(package, "no_such_name")
