from types import SimpleNamespace

import pytest
import tensorflow as tf

from tf_nar.evaluate import rescoring
from tf_nar.models import ctc

TWO = ctc.Search(beam=4, candidates=2)


def run(name, words="v1", positions=16):
  net = SimpleNamespace(max_length=positions)
  model = SimpleNamespace(score=name, traits=SimpleNamespace(offers=set()))
  return SimpleNamespace(workdir=name, model=model, vocab=SimpleNamespace(sha256=words),
                         experiment=SimpleNamespace(model=SimpleNamespace(net=net)))


def test_the_teacher_scores_its_way_if_it_has_one():
  teacher = run("ar", positions=20)
  teacher.model.score = lambda src, tgt: tf.cast(10 * src[:, 0] + tgt[:, 0], tf.float32)
  src, tgt = tf.constant([[1], [2]]), tf.constant([[[3], [4]], [[5], [6]]])
  assert rescoring.by(teacher, run("nat"), TWO)(src, tgt).numpy().tolist() == [[13, 14], [25, 26]]
  teacher.model.score_candidates = "its own"
  teacher.model.traits.offers.add("score_candidates")
  assert rescoring.by(teacher, run("nat"), TWO) == "its own"


@pytest.mark.parametrize("teacher, message", [
    (run("ar", words="v2"), "ar cannot rescore nat: it has another vocabulary"),
    (run("ar", positions=8), "ar cannot rescore nat: it takes 8 tokens, fewer than 16; train it with"),
])
def test_refusals(teacher, message):
  with pytest.raises(ValueError, match=message):
    rescoring.by(teacher, run("nat"), TWO)


def test_one_candidate_is_not_ranked():
  message = ("ar has nothing to rank: .* nat returns one candidate; "
             "add --set=search.beam=18 --set=search.candidates=9[.]$")
  with pytest.raises(ValueError, match=message):
    rescoring.by(run("ar"), run("nat"), ctc.Search())
