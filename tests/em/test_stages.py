"""The stages other than training, with fake models; training is tested in tests/test_fit.py."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.config import Experiment
from tf_nar.data import arrays
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import toy
from tf_nar.em import config
from tf_nar.em import measure
from tf_nar.em import stages
from tf_nar.models import ar
from tf_nar.models import nat_em

EOS, PAD = types.EOS, types.PAD


def alternation(**values):
  teacher = Experiment("ar", ar.Config(), ar.Search())
  student = Experiment("nat_em", nat_em.Config(), nat_em.Search())
  return config.Alternation(teacher, student, **values)


def says(*lists):
  """A search that returns these candidates for every source."""
  width = max(map(len, lists))
  tokens = [words + [PAD] * (width - len(words)) for words in lists]
  scores = [-1.0 - k if words else -np.inf for k, words in enumerate(lists)]

  def search(src):
    rows = tf.shape(src)[0]
    return types.Translation(tf.tile([tokens], [rows, 1, 1]), tf.tile([scores], [rows, 1]), tf.constant(1))
  return search


PAIR = records.Pair([5, 6, EOS], [7, 8, EOS], 1.0, 41)


def propose(search, pairs, longest=8):
  return stages.proposed(search, pairs, tokens_per_batch=64, longest=longest)


@pytest.mark.parametrize("options, first, later", [
  ({}, None, None),
  (dict(warm_start_student=True), None, "student"),
  (dict(student_from_teacher=True), "teacher", "teacher"),
  (dict(warm_start_student=True, student_from_teacher=True), "teacher", "student"),
])
def test_where_a_student_starts(monkeypatch, options, first, later):
  started = []
  monkeypatch.setattr(stages.recipe, "run", lambda *_, warm_start, original_dir: started.append(warm_start))
  work = stages.Stages(alternation(**options), "data")
  work.study("data", None, None, "0")
  work.study("distilled", "teacher", None, "1")
  work.study("distilled", "teacher", "student", "2")
  assert started == [None, first, later]


def test_the_first_round_and_later_ones_have_their_settings(monkeypatch):
  trained = []
  monkeypatch.setattr(stages.recipe, "run", lambda experiment, *_, **options: trained.append(
    (experiment.family, experiment.train.steps, options["warm_start"])))
  work = stages.Stages(alternation(later_teacher=("train.steps=7",), later_student=("train.steps=8",),
                                   warm_start_teacher=True, first_teacher="runs/teacher"), "data")
  work.teach("selected", "teacher", "2")  # Not the first teacher again.
  work.study("distilled", "teacher", None, "1")
  work.study("distilled", "teacher", "student", "2")
  assert trained == [("ar", 7, "teacher"), ("nat_em", 100_000, None), ("nat_em", 8, None)]


def test_the_original_of_a_student_is_the_true_text(monkeypatch):
  given = []
  monkeypatch.setattr(stages.recipe, "run", lambda experiment, data, out, **options: given.append((data, options)))
  work = stages.Stages(alternation(), "true")
  work.study("distilled", "teacher", None, "1")
  work.teach("selected", None, "2")
  assert given == [("distilled", dict(original_dir="true", warm_start=None)),
                   ("selected", dict(original_dir="true", warm_start=None))]


def test_candidates_are_those_of_the_search_best_first():
  [found] = propose(says([7, 8, EOS], [8, 7, EOS]), [PAIR])
  assert found == records.Candidates(41, [5, 6, EOS], [[7, 8, EOS], [8, 7, EOS]], [-1.0, -2.0])


def test_empty_doubled_and_missing_candidates_are_dropped():
  [found] = propose(says([EOS], [7, EOS], [8, EOS], [7, EOS], []), [PAIR])
  assert found.tokens == [[7, EOS], [8, EOS]] and found.scores == [-2.0, -3.0]


def test_a_source_without_a_candidate_keeps_its_target():
  [found] = propose(says([EOS], []), [PAIR])
  assert found.tokens == [PAIR.tgt] and len(found.scores) == 1


def test_a_source_too_long_keeps_its_target_and_its_place():
  long = records.Pair([5] * 9 + [EOS], [7, EOS], 1.0, 42)
  found = propose(says([8, EOS]), [PAIR, long, PAIR._replace(index=43)])
  assert [each.index for each in found] == [41, 42, 43]
  assert [each.tokens for each in found] == [[[8, EOS]], [[7, EOS]], [[8, EOS]]]


def test_what_the_model_cannot_read_scores_nothing():
  score = lambda src, tgt: tf.cast(-tf.math.count_nonzero(tgt, 1), tf.float32)
  pairs = [([5, EOS], [7, 8, EOS]), ([5] * 9, [7, EOS]), ([5, EOS], [7, EOS])]
  assert stages.scored(score, pairs, 8, tokens_per_batch=64).tolist() == [-3.0, -np.inf, -2.0]


LIST = records.Candidates(3, [5, EOS], [[7, EOS], [8, 9, EOS]], [-1.0, -2.0])


def test_hard_rule_keeps_one():
  kept = list(stages.chosen(LIST, {"student": np.array([-4.0, -3.0])}, alternation()))
  assert kept == [records.Pair([5, EOS], [8, 9, EOS], 1.0, 3)]


def test_the_rule_of_the_control_keeps_the_teachers_first():
  kept = list(stages.chosen(LIST, {"student": np.array([-4.0, -3.0])}, alternation(rule="first")))
  assert kept == [records.Pair([5, EOS], [7, EOS], 1.0, 3)]


def test_weights_of_the_text_are_kept():
  [found] = propose(says([7, 8, EOS]), [PAIR._replace(weight=0.5)])
  assert found.weight == 0.5
  scores = {"student": np.array([-4.0, -3.0])}
  for rule in ("hard", "soft"):
    ones, halves = ([pair.weight for pair in stages.chosen(each, scores, alternation(rule=rule))]
                    for each in (LIST, LIST._replace(weight=0.5)))
    assert halves == [0.5 * weight for weight in ones]


def test_soft_rule_takes_the_length_penalty_out_of_the_proposal():
  rule = alternation(rule="soft", nbest_alpha=0.6)
  kept = list(stages.chosen(LIST, {"student": np.array([-4.0, -3.0])}, rule))
  proposal = [-1.0 * (7 / 6)**0.6, -2.0 * (8 / 6)**0.6]  # log p: two and three tokens.
  wanted = np.exp(np.array([-4.0, -3.0]) - proposal)
  assert [pair.weight for pair in kept] == pytest.approx(wanted / wanted.sum(), rel=1e-5)
  assert [pair.tgt for pair in kept] == LIST.tokens and {pair.index for pair in kept} == {3}


@pytest.fixture
def data(tmp_path):
  folder = str(tmp_path / "data")
  toy.write(folder, toy.Config(words=12, pairs=21, valid_pairs=5), shards=3)
  return folder


def pairs_of(folder):
  return sorted(pair for path in corpus.shards(folder) for pair in records.read(path))


def write_candidates(data, out, say):
  tf.io.gfile.makedirs(out)
  for path in corpus.shards(data):
    lists = [records.Candidates(pair.index, pair.src, *say(pair)) for pair in records.read(path)]
    records.write(path.replace(data, out), lists)


def test_from_candidates_to_the_next_text(data, tmp_path):
  candidates, scores, distilled, selected = (str(tmp_path / name) for name in "csdt")
  other = lambda pair: [word + 1 for word in pair.tgt[:-1]] + [EOS]
  write_candidates(data, candidates, lambda pair: ([pair.tgt, other(pair)], [-1.0, -2.0]))
  work = stages.Stages(alternation(), data)
  tf.io.gfile.makedirs(scores)
  for path in corpus.shards(data):  # The student scores the second higher where the index is odd.
    values = [value for pair in records.read(path) for value in (-5.0, -4.0 if pair.index % 2 else -6.0)]
    arrays.write(stages.scores_path(scores, path), {"student": np.array(values, np.float32)})
  for _ in range(2):  # A call that is interrupted before DONE leaves the folder; the next call starts again.
    work.distil(candidates, distilled)
    work.choose(candidates, scores, selected)
  assert pairs_of(distilled) == pairs_of(data)
  assert pairs_of(selected) == sorted(pair._replace(tgt=other(pair) if pair.index % 2 else pair.tgt)
                                      for pair in pairs_of(data))
  assert corpus.validation(selected) == corpus.validation(data)
  kept = measure.kept_first(measure.sample(distilled, 21), measure.sample(selected, 21))
  assert kept == pytest.approx(11 / 21)


def test_ncm_weighs_pairs():
  score = lambda src, tgt: tf.fill([tf.shape(src)[0]], -6.0)
  run = type("Run", (), {"experiment": alternation().student})
  pairs = [records.Pair([5, EOS], [7, 8, EOS], 0.25), records.Pair([5, EOS], [7, EOS], 0.75)]
  assert measure.ncm(score, pairs, run, alternation()) == pytest.approx(6 / (0.25 * 3 + 0.75 * 2))


def test_ncm_leaves_out_what_cannot_be_said():
  score = lambda src, tgt: tf.where(tgt[:, 1] == EOS, -6.0, -float("inf"))
  run = type("Run", (), {"experiment": alternation().student})
  pairs = [records.Pair([5, EOS], [7, 8, EOS], 1.0), records.Pair([5, EOS], [7, EOS], 1.0)]
  assert measure.ncm(score, pairs, run, alternation()) == 3.0


def test_sample_is_by_index(data):
  assert [pair.index for pair in measure.sample(data, 7)] == list(range(7))
