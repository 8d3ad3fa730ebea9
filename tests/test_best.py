"""configs/best.py chooses sizes and numbers of updates by the text."""
import dataclasses

import pytest

from configs import best
from configs import best_multi30k
from tf_nar import config
from tf_nar import recipe
from tf_nar.data import corpus
from tf_nar.em import config as em_config


def made(monkeypatch, **changes):
  split = dataclasses.replace(best.EXAMPLE, **changes)
  monkeypatch.setattr(corpus, "read", lambda folder: corpus.Manifest("bpe", True, 9, "", {"train": split}))
  return config.load("best", em_config.Alternation, data_dir="data")


def test_on_multi30k_it_is_the_measured_recipe(monkeypatch):
  found, wanted = made(monkeypatch), best_multi30k.get_config()
  assert found == best.get_config()
  for (phase, student), (other, measured) in zip(
      recipe.trainings(found.student), recipe.trainings(wanted.student), strict=True):
    assert (phase.name, phase.text, phase.start) == (other.name, other.text, other.start)
    assert student.model == measured.model
    assert student.train.optimizer == measured.train.optimizer
    assert student.train.steps == measured.train.steps
  assert found.student.sweep == wanted.student.sweep
  assert found.teacher.model == wanted.teacher.model
  assert found.teacher.train.steps == pytest.approx(wanted.teacher.train.steps, rel=0.02)
  assert found.teacher.train.optimizer.warmup == pytest.approx(wanted.teacher.train.optimizer.warmup, rel=0.02)


@pytest.mark.parametrize("pairs, width, teacher, student, tokens", [
  (300, 128, 1_200, 720, 2_048), (4_000, 128, 2_940, 720, 4_096), (150_000, 128, 19_980, 10_020, 8_192),
  (500_000, 256, 39_960, 33_540, 8_192), (4_500_000, 512, 99_960, 75_480, 8_192),
])
def test_sizes_and_updates_by_the_text(monkeypatch, pairs, width, teacher, student, tokens):
  found = made(monkeypatch, pairs=pairs, target_tokens=20 * pairs, source_tokens=20 * pairs, lengths={200: pairs})
  assert (found.teacher.model.net.width, found.student.model.net.width) == (width, width)
  assert (found.teacher.train.steps, found.student.train.steps) == (teacher, student)
  assert (found.teacher.train.tokens_per_batch, found.student.train.tokens_per_batch) == (tokens, tokens // 2)
  assert {each.train.max_length for each in (found.teacher, found.student)} == {200}
  assert {each.model.net.max_length for each in (found.teacher, found.student)} == {200}
  tuned = recipe.trainings(found.student)[-1][1].train
  assert 300 <= tuned.steps <= 3_000 and tuned.optimizer.learning_rate < found.student.train.optimizer.learning_rate / 2


def test_long_pairs_are_left_out_and_long_targets_have_room(monkeypatch):
  found = made(monkeypatch, lengths={900: 28_998}, target_tokens=3 * best.EXAMPLE.source_tokens)
  student = found.student
  assert (student.train.max_length, student.model.net.max_length, student.model.upsample) == (256, 256, 4)
