from types import SimpleNamespace

import pytest
import sacrebleu
import tensorflow as tf

from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import cost
from tf_nar.evaluate import testset

VOCAB = vocab_lib.WordList([*types.SPECIALS, *"abcdefgh"])
REFERENCES = ["a b c d e", "f g h a b", "", "c d e f"]


def stutter(src):
  """Translates into the source with its first token repeated."""
  tokens = tf.concat([src[:, :1], src], 1)
  return types.Translation(tokens[:, None], tf.zeros([tf.shape(src)[0], 1]), tf.constant(3))


def test_measure_sees_the_stutter_and_that_it_can_be_mended():
  hypotheses, rows = testset.measure(stutter, VOCAB, REFERENCES, REFERENCES, tokens_per_batch=8, longest=9)
  found = {row.name: row for row in rows}
  assert hypotheses == ["a a b c d e", "f f g h a b", "", "c c d e f"]
  expected = sacrebleu.corpus_bleu(hypotheses, [REFERENCES], tokenize="none", force=True).score
  assert found["bleu_tokenized"].value == expected < 99
  assert found["bleu_tokenized_deduplicated"].value == pytest.approx(100)
  assert "tok:none" in found["bleu_tokenized"].signature
  assert found["repetition_tokens"].value == found["repetition_words"].value == 3 / 17
  assert found["repetition_tokens_deduplicated"].value == found["repetition_words_deduplicated"].value == 0
  assert found["length_ratio"].value == 17 / 14
  assert found["sentences"].value == 4
  assert found["passes"].value == 3 and "code_steps" not in found
  assert found["sentences_per_second"].value > 0
  assert "up to 8 padded source tokens per batch, 3 batches" in found["sentences_per_second"].signature


def test_steps_of_codes_are_told_apart_from_passes():
  coded = lambda src: stutter(src)._replace(steps=tf.constant(4))
  _, rows = testset.measure(coded, VOCAB, REFERENCES, REFERENCES, tokens_per_batch=8, longest=9)
  found = {row.name: row.value for row in rows}
  assert (found["passes"], found["code_steps"]) == (3, 4)


def test_raw_text_is_measured_under_another_name():
  class Raw:
    tokenized, takes_parts, bleu_tokenize = False, False, "13a"
    source, encode, decode, plain = VOCAB, VOCAB.encode, VOCAB.decode, VOCAB.plain
  _, rows = testset.measure(stutter, Raw, REFERENCES, REFERENCES, tokens_per_batch=64, longest=9)
  found = {row.name: row.signature for row in rows}
  assert "tok:13a" in found["bleu_detokenized"] and "chrf_detokenized" in found
  assert "bleu_tokenized" not in found


CUT = vocab_lib.WordList([*types.SPECIALS, *"abcdefgh", "a@@", "@@"])


@pytest.mark.parametrize("references, length, named", [
  (["a@@ b c d e", "f g h a@@ b", "", "c @@ e f"], 17 / 14, "model tokens"),
  (["ab c d e", "f g h ab", "", "c @@ e f"], 14 / 12, "words"),
])
def test_references_in_parts_or_in_whole_words(references, length, named):
  sources = ["a@@ b c d e", "f g h a@@ b", "", "c @@ e f"]
  hypotheses, rows = testset.measure(stutter, CUT, sources, references, tokens_per_batch=64, longest=9)
  found = {row.name: row for row in rows}
  assert hypotheses == ["aab c d e", "f f g h ab", "", "c c @@ e f"]
  whole = ["ab c d e", "f g h ab", "", "c @@ e f"]
  expected = sacrebleu.corpus_bleu(hypotheses, [whole], tokenize="none", force=True).score
  assert found["bleu_tokenized"].value == expected > 0
  assert found["length_ratio"].value == pytest.approx(length) and found["length_ratio"].signature.startswith(named)
  assert named == "words" or found["length_ratio_words"].value == 14 / 12
  surprise = list(testset.surprise(lambda src, tgt: tf.fill([len(tgt)], -2.0), CUT, sources, references,
                                   tokens_per_batch=64, longest=9))
  assert [row.name for row in surprise] == (["ncm"] if named == "model tokens" else [])


def test_measure_refuses_other_counts():
  with pytest.raises(ValueError, match="as many sources as references; got 1 and 4"):
    testset.measure(stutter, VOCAB, ["a"], REFERENCES, tokens_per_batch=8, longest=9)


def test_surprise_is_the_mean_over_tokens_that_can_be_said():
  # A nat per token and one more per sentence; "b c" has probability 0.
  def score(src, tgt):
    tokens = tf.math.count_nonzero(tgt, 1, dtype=tf.float32)
    return tf.where(tgt[:, 0] == VOCAB.encode("b")[0], -float("inf"), -tokens - 1)
  row, = testset.surprise(
    score, VOCAB, ["a", "b c", "d"], ["a", "b c", "c d e"], tokens_per_batch=64, longest=9)
  assert row.name == "ncm" and row.value == pytest.approx((3 + 5) / (2 + 4))
  assert "1 pairs of probability 0 are left out" in row.signature


def test_surprise_by_a_bound_has_a_name_of_its_own():
  score = lambda src, tgt: tf.fill([len(tgt)], -6.0)
  row, = testset.surprise(score, VOCAB, ["a"], ["a b"], tokens_per_batch=64, longest=9, name="ncm_bound")
  assert row.name == "ncm_bound" and row.value == pytest.approx(2.0)


def test_speed_is_taken_in_turns_with_the_baseline(monkeypatch):
  monkeypatch.setattr(testset, "CROWD", 2)
  calls = []
  named = lambda name: lambda src: calls.append((name, *src.shape)) or stutter(src)
  rows = testset.speed(named("ours"), named("theirs"), "theirs", VOCAB, ["a b c", "d", "e f"], longest=9)
  found = {row.name: row for row in rows}
  alone = [(name, 1, 8) for _ in range(4) for name in ("ours", "theirs")]  # The first turn warms up.
  assert calls[0] == ("ours", 1, 8) and sorted(calls[:8]) == sorted(alone)
  assert calls[2:8] == alone[2:8]
  assert calls[-2:] == [("ours", 2, 8), ("theirs", 2, 8)]
  assert found["milliseconds_batch_1"].value > 0 and "median of 3 sentences" in found["milliseconds_batch_1"].signature
  assert found["sentences_per_second_batch_2"].value > 0
  assert found["times_baseline_batch_1"].value > 0
  assert "seconds of theirs" in found["times_baseline_batch_2"].signature


def test_speed_refuses_a_small_test_set():
  with pytest.raises(ValueError, match="at least 128 sentences; got 1"):
    list(testset.speed(stutter, stutter, "it", VOCAB, ["a"], longest=9))


def test_in_turns_takes_each_ones_time():
  ticks = iter(range(0, 1000, 3))
  both, groups = {"one": stutter, "other": stutter}, [tf.constant([[5, 1]])] * 2
  took = cost.in_turns(both, groups, clock=lambda: float(next(ticks)))
  assert took == {"one": [3.0, 3.0], "other": [3.0, 3.0]}


def test_meter_adds_up_all_but_the_warm_up():
  seconds = iter([10.0, 12.0, 20.0, 25.0])
  meter = cost.Meter(stutter, clock=lambda: next(seconds))
  meter.warm_up()
  for _ in range(2):
    meter(tf.constant([[5, 1]]))
  assert (meter.calls, meter.passes, meter.seconds) == (2, 6, 7.0)


def test_references_are_decoded_from_their_own_latents():
  class Model:
    traits, config = SimpleNamespace(likelihood=lambda config: "bound", offers={"reconstruct"}), None

    def objective(self, batch, **_):
      count = tf.reduce_sum(batch.weight)
      return types.Loss({"kl_sentence": types.Term(8.0 * count, count, 0.0)})

    def reconstruct(self, src, tgt):  # "c" becomes "d".
      one, other = (VOCAB.encode(word)[0] for word in "cd")
      return tf.where(tgt == one, other, tgt)

  run = SimpleNamespace(model=Model(), vocab=VOCAB)
  score = lambda src, tgt: tf.fill([len(tgt)], -6.0)
  made = lambda *references: [(row.name, row.value) for row in testset.of_references(
    run, score, ["a"] * len(references), references, tokens_per_batch=64, longest=9)]
  (ncm, _), same, nats = made("a b d e")
  assert ncm == "ncm_bound" and same == ("bleu_reconstruction", pytest.approx(100)) and nats == ("kl_sentence", 8.0)
  assert made("a b c e")[1][1] < 100
