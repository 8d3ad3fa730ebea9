"""How the decoder passes of a translation are shown."""
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import types
from tf_nar.evaluate import tracing
from tf_nar.models import cmlm

SEARCH = cmlm.Search(passes=3, candidates=2)


def run(name):
  return SimpleNamespace(
    model=families.build(name), vocab=families.VOCAB, experiment=SimpleNamespace(family=name))


def test_the_last_pass_says_the_translation():
  masked = run("cmlm")
  source = [7, 9, 8, types.EOS]
  passes = tracing.tracer(masked, SEARCH)(source)
  assert len(passes) == 3 and set(passes[0][0]) == {"<mask>"}
  said = masked.model.translate(tf.constant([source]), SEARCH).tokens[0, 0].numpy()
  assert families.VOCAB.decode(said).split() == " ".join(passes[-1][1]).partition("<eos>")[0].split()


def test_the_teacher_chooses_whose_passes_are_shown():
  masked = run("cmlm")
  wants = lambda sign: lambda src, tgt: sign * tf.math.count_nonzero(tgt, -1, dtype=tf.float32)
  long, short = (tracing.tracer(masked, SEARCH, wants(sign))([7, 9, types.EOS]) for sign in (1.0, -9.0))
  assert len(long[-1][1]) != len(short[-1][1])


def test_an_empty_line_has_no_pass():
  assert tracing.tracer(run("cmlm"), SEARCH)([types.EOS]) == []


def test_a_line_a_pass():
  passes = [(["<mask>", "<mask>"], ["a", "a"]), (["a", "<mask>"], ["a", "b"])]
  assert tracing.formatted(3, passes) == [
    "3 ||| 1 ||| <mask> <mask> ||| a a", "3 ||| 2 ||| a <mask> ||| a b"]


def test_refuses_a_family_without_passes():
  with pytest.raises(ValueError, match="A trace needs an iterative search, .* the translation; nat_em has none"):
    tracing.tracer(run("nat_em"), None)
