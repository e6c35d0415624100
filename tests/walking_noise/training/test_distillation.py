"""Distillation: gradient and limits of the loss, teachers, keys, packs, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.walking_noise.running import HERE, SingleRuns, numbers, run
from walking_noise import ConfigError, Result, RunConfig, data, train
from walking_noise.data import DataSet
from walking_noise.pack.pack import Pack, cross_entropy
from walking_noise.pack.stacking import unstack
from walking_noise.training.distillation import Distillation

SOFT: dict[str, Any] = {"distillation__soft_label_share": 0.7, "distillation__temperature": 3.0}
STUDENT: dict[str, Any] = {"noise__std": 0.3, **SOFT}


@pytest.fixture(autouse=True)
def few_digits(fewer_digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every data set in this process by the few digits."""
    monkeypatch.setattr(data, "load", lambda *selection, **settings: fewer_digits)


def result(**settings: Any) -> Result:
    (found,) = train([run(**settings)], **HERE)
    return found


def losses(config: RunConfig, teacher: Tensor, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """The loss of a single student whose teacher's logits are ``teacher``."""
    assert config.teacher is not None
    state = unstack(Pack([config.initial_network()]).stacked_state())[0]
    distillation = Distillation([config], {config.teacher.network_key: state}, torch.device("cpu"))
    distillation._teacher_logits = lambda x: teacher  # type: ignore[method-assign]
    hard = cross_entropy(logits, labels, weights)
    return distillation.losses(hard, logits, labels, torch.empty(1, *labels.shape[1:], 1), weights)


def test_the_gradient_of_the_loss() -> None:
    """``(1 - b)(softmax z - y) + b·T (softmax(z/T) - softmax(t/T))``, over the samples."""
    b, temperature, samples = 0.7, 3.0, 5
    logits, teacher = torch.randn(2, 1, samples, 10, dtype=torch.float64)
    labels = torch.randint(0, 10, (1, samples))
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(losses(run(**STUDENT), teacher, logits, labels).sum(), logits)
    z, y = logits.detach(), torch.nn.functional.one_hot(labels, 10)
    hard = (1 - b) * (z.softmax(-1) - y)
    soft = b * temperature * ((z / temperature).softmax(-1) - (teacher / temperature).softmax(-1))
    torch.testing.assert_close(gradient, (hard + soft) / samples, rtol=1e-6, atol=1e-8)


def test_weights_of_the_classes_weight_both_parts() -> None:
    """A class of weight 0 does not count, one of twice the weight counts as two samples."""
    logits, teacher = torch.randn(2, 1, 3, 4)
    labels, weights = torch.tensor([[0, 1, 2]]), torch.tensor([0.0, 2.0, 1.0, 1.0])
    weighted = losses(run(**STUDENT), teacher, logits, labels, weights)
    repeated = [1, 1, 2]
    plain = losses(run(**STUDENT), teacher[:, repeated], logits[:, repeated], labels[:, repeated])
    torch.testing.assert_close(weighted, plain)


def test_a_student_that_equals_its_teacher_has_no_gradient() -> None:
    logits = torch.randn(1, 5, 10, requires_grad=True)
    only_soft = run(noise__kind="none", distillation__soft_label_share=1.0, distillation__temperature=2.0)
    found = losses(only_soft, logits.detach(), logits, torch.randint(0, 10, (1, 5)))
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_a_student_that_starts_at_its_teacher_with_soft_labels_only_does_not_move() -> None:
    """Without noise, and with BatchNorm's statistics out of the way, student and teacher stay equal."""
    teacher = result(noise__kind="none")
    student = result(noise__kind="none", distillation__soft_label_share=1.0, distillation__initialise=True)
    for layer, weight in teacher.mean_abs_weight.items():
        assert student.mean_abs_weight[layer] == pytest.approx(weight, rel=1e-4)
    assert student.last_accuracies[-1] == teacher.last_accuracies[-1]


def test_share_0_is_a_plain_training_beside_students() -> None:
    plain, started = run(noise__std=0.3), run(noise__std=0.3, distillation__initialise=True)
    together = train([plain, run(**STUDENT), started], **HERE)
    assert numbers(together[0]) == SingleRuns()([plain])[0]
    assert len({tuple(one.training_loss) for one in together}) == 3
    assert together[2].training_loss[0] is not None
    assert together[0].training_loss[0] is not None
    assert together[2].training_loss[0] < together[0].training_loss[0]


def test_packs_of_students_give_the_numbers_of_single_runs() -> None:
    """Students with their own and with common teachers, in random order; one teacher is a run itself."""
    variants: list[dict[str, Any]] = [
        STUDENT,
        {**STUDENT, "distillation__initialise": True, "distillation__temperature": 1.0},
        {**STUDENT, "distillation__teacher_seed": 5},
        {**STUDENT, "noise__target": "weights", "noise__std": 0.02},
        {**SOFT, "noise__kind": "none"},
        {**SOFT, "noise__std": 0.3, "noise__in_training": False},
        {"noise__kind": "none"},
    ]
    configs = [run(**one, seed=seed, model__batch_norm=True) for one in variants for seed in (0, 1)]
    configs = configs[::3] + configs[2::3] + configs[1::3]
    assert [numbers(one) for one in train(configs, **HERE)] == SingleRuns()(configs)


def test_a_teacher_is_trained_once_and_found_again(tmp_path: Path) -> None:
    networks = tmp_path / "networks"
    student = run(**STUDENT)
    assert student.teacher is not None
    (first,) = train([student], **HERE, networks=networks)
    (stored,) = networks.iterdir()
    assert stored.name.startswith(student.teacher.network_key)
    changed = stored.stat().st_mtime_ns
    again, _ = train([student, run(noise__kind="none")], **HERE, networks=networks)
    assert numbers(again) == numbers(first)
    assert stored.stat().st_mtime_ns == changed
    assert len(list(networks.iterdir())) == 1


def test_no_checkpoint_remains(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    train([run(**STUDENT)], **HERE, checkpoints=folder, checkpoint_seconds=0)
    assert list(folder.glob("*.checkpoint")) == []


def test_the_progress_counts_the_epochs_of_teachers() -> None:
    seen: list[tuple[int, int]] = []
    train([run(**STUDENT)], progress=lambda one: seen.append((one.epochs_done, one.epochs_total)), **HERE)
    assert seen[-1] == (4, 4)


def test_keys() -> None:
    plain, student = run(noise__std=0.3), run(**STUDENT)
    assert student.teacher == run(noise__kind="none")
    assert student.pack_key == plain.pack_key
    distinct = [
        plain,
        student,
        run(**{**STUDENT, "distillation__temperature": 2.0}),
        run(**STUDENT, distillation__teacher_seed=3),
        run(**STUDENT, distillation__initialise=True),
    ]
    assert len({one.network_key for one in distinct}) == len(distinct)
    assert run(**STUDENT, distillation__teacher_seed=0).run_key == student.run_key
    only = [run(**SOFT, noise__std=std, noise__in_training=False) for std in (0.1, 0.2)]
    assert only[0].network_key == only[1].network_key == run(**SOFT, noise__kind="none").network_key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distillation__temperature": 2.0}, "no effect with distillation.soft_label_share 0"),
        ({"distillation__teacher_seed": 2}, "no effect without distillation.soft_label_share or"),
        ({"distillation__soft_label_share": 1.5}, ">= 0 and <= 1"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(**settings)
