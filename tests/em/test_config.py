import dataclasses

import pytest

from tf_nar import config as config_lib
from tf_nar.em import config
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import ctc
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility
from tf_nar.ops import glancing

TEACHER = config_lib.Experiment("ar", ar.Config(), ar.Search(beam=5))
TUNED = config_lib.Phase("tuned", start="warm_start")
STUDENT = config_lib.Experiment("nat_em", nat_em.Config(), nat_em.Search())


def test_candidates_are_sought_with_a_beam_as_wide_as_their_number():
  found = config.nbest_search(config.Alternation(TEACHER, STUDENT), TEACHER.search)
  assert found == ar.Search(beam=20, candidates=20, alpha=0.6)


def test_changes_of_later_rounds():
  glances = config_lib.Experiment(
    "ctc", ctc.Config(glance=glancing.Glance(updates=1_500)), ctc.Search(), config_lib.Train(steps=2_000))
  alternation = config.Alternation(TEACHER, glances)
  assert config.later(alternation, "teacher") == TEACHER and config.later(alternation, "student") == glances
  alternation = config_lib.override(
    alternation, "later_teacher.model.net.dropout=0.2", "later_student.train.steps=400", "later_teacher.train.seed=3")
  assert alternation.later_teacher == ("model.net.dropout=0.2", "train.seed=3")
  assert config.later(alternation, "teacher") == config_lib.override(TEACHER, *alternation.later_teacher)
  student = config.later(alternation, "student")
  assert student.train.steps == 400 and student.model.glance == glancing.Glance(updates=300)
  own = dataclasses.replace(alternation, later_student=("train.steps=400", "model.glance.updates=7"))
  assert config.later(own, "student").model.glance == glancing.Glance(updates=7)


def test_settings_are_overridden_by_name():
  changed = config_lib.override(config.Alternation(TEACHER, STUDENT), "student.train.steps=7")
  assert changed.student.train.steps == 7


@pytest.mark.parametrize("values, message", [
    (dict(rule="firm"), "rule is one of hard, soft, first; got 'firm'"),
    (dict(stop="now"), "stop is one of none, ncm, bleu; got 'now'"),
    (dict(rounds=0), "rounds is at least 1; got 0"),
    (dict(nbest=0), "nbest is at least 1; got 0"),
    (dict(quality=-1.0), "quality is at least 0; got -1.0"),
    (dict(later_student=("train.steps=-5",)), "later_student: train.steps is at least 1; got -5"),
    (dict(later_teacher=("train.stepps=5",)), "later_teacher: --set train.stepps=5: no field 'stepps'. Did you mean"),
    (dict(student=dataclasses.replace(STUDENT, family="glat")),
     "family=glat goes with a model of glat.Config, not of nat_em.Config; take a config of that family"),
    (dict(student_from_teacher=True, student=dataclasses.replace(
      STUDENT, model=nat_em.Config(transformer.Config(width=256)))),
     "needs equal width, .*; the student has width=256, the teacher 512"),
    (dict(data="toy"), "data must be a toy.Config, or None"),
    (dict(student=config_lib.Experiment("nat_fertility", nat_fertility.Config(), nat_fertility.Search())),
     "The student learns from alignments, .* use another family than nat_fertility, or set student.model.copy=unif"),
    (dict(student=dataclasses.replace(STUDENT, phases=(dataclasses.replace(TUNED, changes=("family=glat",)),))),
     "family=glat goes with a model of glat.Config"),
    (dict(student=dataclasses.replace(STUDENT, sweep=("train.steps=1",))), "a sweep expect an option of the search"),
    (dict(student_from_teacher=True, student=dataclasses.replace(STUDENT, phases=(
      dataclasses.replace(TUNED, changes=("model.net.width=256",)),))), "needs equal width"),
    (dict(one_model=True, raw_student=False), "one_model takes the teacher's weights .* the same family and net"),
    (dict(one_model=True, student=TEACHER), "set raw_student=False"),
    (dict(teacher=STUDENT), "must be autoregressive; got the family nat_em"),
    (dict(teacher=dataclasses.replace(TEACHER, model=ar.Config(transformer.Config(max_length=64)))),
     "set teacher.model.net.max_length=256"),
])
def test_refuses(values, message):
  with pytest.raises(ValueError, match=message):
    config.Alternation(**{"teacher": TEACHER, "student": STUDENT} | values)
