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
  anew = config_lib.override(alternation, "later_teacher.train.seed=4", "later_teacher=('train.steps=9',)",
                             "later_teacher.train.seed=5")  # In turn.
  assert anew.later_teacher == ("train.steps=9", "train.seed=5")
  for wrong in ("train.steps=9", "('train.steps=9')", "(9,)"):
    with pytest.raises(ValueError, match="--set later_teacher=.*: expected one assignment, as later_teacher.train"):
      config_lib.override(alternation, f"later_teacher={wrong}")
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
    (dict(later_teacher=(5,)), "later_teacher: expected a tuple of assignments, such as .* got .5,."),
    (dict(later_teacher=("model.net.heads=4",), warm_start_teacher=True),
     "later_teacher: The teacher has net.heads=4, but that of round 1, whose weights it would get, has net.heads=8"),
    (dict(later_teacher=("model.net.width=256",), student_from_teacher=True), "the student has width=512, the teacher"),
    (dict(later_teacher=("model.net.max_length=64",)), "set teacher.model.net.max_length=256"),
    (dict(later_teacher=("model.net.dtype=bfloat16",)), "later_teacher: net.dtype=bfloat16 rounds the weights"),
    (dict(later_teacher=("search.penalty=length",)), "later_teacher: the search is that of all rounds; set teacher.se"),
    (dict(student=dataclasses.replace(STUDENT, phases=(TUNED,)), later_student=("train.steps=5",)),
     "later_student: each phase has its own number of updates; set phases.tuned.train.steps, and its schedules"),
    (dict(rule="first", quality=0.5), "rule=first keeps the teacher's best, .* leave out quality and normalize"),
    (dict(first_teacher="runs/a", teacher=dataclasses.replace(TEACHER, phases=(TUNED,))),
     "first_teacher=runs/a is trained already, so the teacher cannot have phases"),
    (dict(one_model=True, raw_student=False, student=TEACHER, later_student=("train.steps=5",)), "no later_student"),
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
