"""The configuration of an alternation: the experiments of teacher and student, and how they alternate."""
import dataclasses
from typing import Any

from tf_nar import config
from tf_nar import models
from tf_nar import overrides
from tf_nar import recipe
from tf_nar import runs
from tf_nar import types
from tf_nar import warm_starts
from tf_nar.data import toy
from tf_nar.ops import schedule

SHARED = "width", "ffn", "heads", "encoder_layers", "norm"  # Equal in models that share weights.


@dataclasses.dataclass(frozen=True)
class Alternation:
  """EM between an autoregressive teacher and a non-autoregressive student (Sun & Yang, ICML 2020).

  The defaults are those of the paper's program as far as they are known: the number of rounds and the length penalty of
  the candidates' search are not. `quality` and the soft rule are in the paper's theory only.
  """

  teacher: config.Experiment
  student: config.Experiment
  rounds: int = 3  # Number of rounds; round 1 is plain sequence-level distillation.
  raw_student: bool = True  # Whether to train another student on the original text, which is round 0.
  nbest: int = 20  # Number of candidates per source, and the size of the beam that finds them.
  nbest_alpha: float = 0.6  # Length penalty of that beam.
  rule: str = "hard"  # "hard": keep the best candidate; "soft": keep all candidates, weighted; "first": keep the
  # teacher's best, which repeats distillation without EM, as a control.
  normalize: bool = False  # Whether to divide the student's score by the length; if not, it favours short candidates.
  quality: float = 0.0  # Weight lambda of log p(y | x) under the first teacher.
  stop: str = "none"  # "ncm", "bleu": stop after a round in which that of the student did not improve; "none": never.
  warm_start_teacher: bool = False  # Whether teachers start from the last round's weights; else from random weights.
  warm_start_student: bool = False  # Whether students start from the weights of the last round's student.
  student_from_teacher: bool = False  # Whether other students start from the weights shared with their round's teacher.
  one_model: bool = False  # Whether each round's teacher is its student too, in another mode; none is trained then.
  first_teacher: str = ""  # A finished run, or the name of a pretrained model, that is the teacher of round 1; empty:
  # one is trained.
  later_teacher: tuple = overrides.assignments()  # Changes of the teacher from round 2 on, as ("train.steps=500",).
  later_student: tuple = overrides.assignments()  # Changes of the student then; its schedules scale with train.steps.
  tokens_per_batch: int = 8_192  # Padded source tokens per batch and device in translation and scoring.
  beam: int = 5  # Beam size of the teacher in the report.
  lengths: int = 9  # Candidates of the student, as of several lengths, that the teacher ranks in the report; 1: none.
  sample: int = 2_000  # NCM is measured on the training sentences with an index below this.
  data: Any = None  # A `toy.Config` for the built-in toy language pair; None: a data folder is given.

  def __post_init__(self):
    config.check_choice("rule", self.rule, ("hard", "soft", "first"))
    config.check_choice("stop", self.stop, ("none", "ncm", "bleu"))
    config.check_at_least(1, self, "rounds", "nbest", "beam", "tokens_per_batch", "lengths", "sample")
    config.check_at_least(0, self, "quality")
    if self.rule == "first" and (self.quality or self.normalize):
      raise ValueError("rule=first keeps the teacher's best, whatever its scores; leave out quality and normalize.")
    for name in ("teacher", "student"):
      recipe.check(getattr(self, name))
      self._check_later(name)
    if self.first_teacher and self.teacher.phases:
      raise ValueError(f"first_teacher={self.first_teacher} is trained already, so the teacher cannot have phases "
                       "before it; leave out one of both.")
    if not models.traits(self.teacher.family).autoregressive:
      raise ValueError(f"The teacher must be autoregressive; got the family {self.teacher.family}. Use ar or janus.")
    if self.data is not None and not isinstance(self.data, toy.Config):
      raise ValueError(f"data must be a toy.Config, or None to give a data folder; got {self.data!r}.")
    if self.one_model:
      self._check_one_model()
    self._check_pair(self.teacher, self.student)
    self._check_pair(later(self, "teacher"), later(self, "student"))

  def _check_later(self, name):
    """Raises ValueError if the changes of `later_teacher` or `later_student` do not fit, in a line that names them."""
    changes, first = getattr(self, f"later_{name}"), getattr(self, name)
    try:
      if not all(isinstance(each, str) for each in changes):
        raise ValueError(f"expected a tuple of assignments, such as ('train.steps=500',); got {changes!r}.")
      if first.phases and any(each.startswith("train.steps=") for each in changes):
        raise ValueError(f"each phase has its own number of updates; set phases.{first.phases[-1].name}.train.steps, "
                         "and its schedules.")
      changed = later(self, name)
      recipe.check(changed)
      for _, each in recipe.trainings(changed):
        runs.check(each)
      if changed.search != first.search:
        raise ValueError(f"the search is that of all rounds; set {name}.search.")
      if getattr(self, f"warm_start_{name}"):
        ours, theirs = (recipe.trainings(each)[-1][1].model for each in (changed, first))
        warm_starts.check_function(ours, theirs, f"The {name}", "that of round 1")
    except ValueError as problem:
      raise ValueError(f"later_{name}: {problem}") from None

  def _check_pair(self, teacher, student):
    """Raises ValueError if the teacher and student of a round do not fit each other."""
    students, teacher = recipe.trainings(student), recipe.trainings(teacher)[-1][1]
    for phase, student in students:
      self._check_student(student, teacher, self.student_from_teacher and phase.start == "warm_start")
    positions = [experiment.model.net.max_length for experiment in (teacher, students[-1][1])]
    if positions[0] < positions[1]:
      raise ValueError(
        f"The teacher takes {positions[0]} tokens and the student {positions[1]}, but the teacher ranks the student's "
        f"translations; set teacher.model.net.max_length={positions[1]}.")

  def _check_one_model(self):
    """Raises ValueError if the student cannot have the weights of its teacher, or is to be trained itself."""
    mine, other = ((each.family, each.model.net) for each in (self.student, self.teacher))
    if mine != other or self.raw_student or self.student.phases or self.later_student:
      raise ValueError(
        "one_model takes the teacher's weights for the student: give both the same family and net, the student no "
        "phases and no later_student, and set raw_student=False.")

  def _check_student(self, student, teacher, from_teacher):
    """Raises ValueError if the student needs fertilities, or cannot start from the teacher's weights as configured."""
    if models.traits(student.family).batch(student.model) is not types.Batch:
      raise ValueError(
        f"The student learns from alignments, but distilled texts have none; use another family than "
        f"{student.family}, or set student.model.copy=uniform.")
    nets = [experiment.model.net for experiment in (student, teacher)]
    other = [name for name in SHARED if getattr(nets[0], name) != getattr(nets[1], name)]
    if from_teacher and other:
      raise ValueError(f"student_from_teacher needs equal {', '.join(SHARED)} in both models; the student has "
                       f"{other[0]}={getattr(nets[0], other[0])}, the teacher {getattr(nets[1], other[0])}.")


def nbest_search(alternation: Alternation, search: Any) -> Any:
  """Returns the teacher's search for candidates, derived from the search of its run."""
  found = dict(beam=alternation.nbest, candidates=alternation.nbest, alpha=alternation.nbest_alpha,
               penalty=alternation.teacher.search.penalty)
  return dataclasses.replace(search, **found)


def later(alternation: Alternation, name: str) -> config.Experiment:
  """Returns the experiment of the "teacher" or "student" from round 2 on."""
  first, changes = getattr(alternation, name), getattr(alternation, f"later_{name}")
  steps = config.override(first, *changes).train.steps
  scaled = schedule.scaled(first.model, steps, first.train.steps)
  return config.override(dataclasses.replace(first, model=scaled), *changes)
