"""Comparisons with references and between systems, against sacrebleu's own numbers."""
import pytest
import sacrebleu
from sacrebleu import significance

from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import bleu
from tf_nar.evaluate import quality

HYPOTHESES = ["The cat sat on the mat, today.", "a dog barks at night", "it rains"]
FIRST = ["the cat sat on a mat, today.", "a dog barks in the night", "It is raining"]
SECOND = ["Today the cat sat on the mat.", "a dog barks at night", "it rains now"]
CUT = vocab_lib.WordList([*types.SPECIALS, "a@@", "b", "c"])


def found(references, hypotheses=HYPOTHESES):
  return {row.name: row for row in quality.of_texts(hypotheses, references)}


def test_several_references():
  rows = found(quality.References(FIRST, SECOND, ter=True))
  assert rows["bleu_detokenized"].value == sacrebleu.corpus_bleu(HYPOTHESES, [FIRST, SECOND]).score
  assert rows["chrf_detokenized"].value == sacrebleu.corpus_chrf(HYPOTHESES, [FIRST, SECOND]).score
  expected = sacrebleu.TER(case_sensitive=True).corpus_score(HYPOTHESES, [FIRST, SECOND]).score
  assert rows["ter_detokenized"].value == expected
  assert all("nrefs:2" in rows[f"{name}_detokenized"].signature for name in ("bleu", "chrf", "ter"))
  length = rows["length_ratio"]
  assert length.value == 14 / 16 and length.signature.endswith("words of the references, the first of them")
  assert rows["sentences"].value == 3 and rows["repetition_words"].value == 0


def test_case_is_ignored_if_asked():
  rows = found(quality.References(FIRST, lowercase=True, ter=True))
  assert rows["bleu_detokenized"].value == sacrebleu.corpus_bleu(HYPOTHESES, [FIRST], lowercase=True).score
  assert rows["chrf_detokenized"].value == sacrebleu.CHRF(lowercase=True).corpus_score(HYPOTHESES, [FIRST]).score
  assert rows["ter_detokenized"].value == sacrebleu.TER().corpus_score(HYPOTHESES, [FIRST]).score
  assert all("case:lc" in rows[f"{name}_detokenized"].signature for name in ("bleu", "chrf", "ter"))
  assert "ter_detokenized" not in found(quality.References(FIRST))


@pytest.mark.parametrize("more, tokenize, kind", [
  ({}, "13a", "detokenized"), ({"tokenize": "intl"}, "intl", "detokenized"),
  ({"tokenize": "none"}, "none", "tokenized"),
  ({"vocab": CUT}, "none", "tokenized"), ({"vocab": CUT, "tokenize": "13a"}, "13a", "tokenized"),
])
def test_tokenisers(more, tokenize, kind):
  row = found(quality.References(FIRST, **more))[f"bleu_{kind}"]
  assert f"tok:{tokenize}" in row.signature
  assert row.value == sacrebleu.corpus_bleu(HYPOTHESES, [FIRST], tokenize=tokenize, force=True).score


def test_a_language_without_spaces_is_guessed_and_its_words_edited():
  references = quality.References(["今天天气很好。", "我们去公园。"], ter=True)
  rows = found(references, ["今天天气好。", "我们去公园。"])
  assert "tok:zh" in rows["bleu_detokenized"].signature and rows["bleu_detokenized"].value > 0
  assert rows["ter_detokenized"].value == pytest.approx(100 / 13)  # One of 13 characters is missing.
  assert rows["ter_detokenized"].signature.endswith(", words by tok:zh")
  assert rows["length_ratio"].value == 12 / 13


def test_subwords_are_joined():
  references = quality.References(["a@@ b c"], vocab=CUT)
  assert references.texts == [["ab c"]] and references.plain("c a@@ b") == "c ab"


def test_difference_is_that_of_sacrebleu():
  ours, theirs, references = HYPOTHESES * 9, [*SECOND, *FIRST, *SECOND] * 3, FIRST * 9
  rows = {row.name: row for row in quality.References(references).difference(ours, theirs, "theirs.json")}
  test = significance.PairedTest([("theirs", theirs), ("ours", ours)], {"b": sacrebleu.BLEU(), "c": sacrebleu.CHRF()},
                                 [references], "bs", 1000)
  _, known = test()
  for name, (baseline, system) in (("bleu", known["BLEU"]), ("chrf", known["chrF2"])):
    row, p = (rows[f"{name}_detokenized_difference{which}"] for which in ("", "_p"))
    assert row.value == system.score - baseline.score < 0 and p.value == system.p_value < 0.1
    assert row.signature == f"minus the {baseline.score:.2f} of theirs.json" and "bs:1000|seed:12345" in p.signature


def test_equal_systems_do_not_differ():
  rows = {row.name: row.value for row in quality.References(FIRST).difference(HYPOTHESES, HYPOTHESES, "it")}
  assert rows["bleu_detokenized_difference"] == 0 and rows["bleu_detokenized_difference_p"] == 1


def test_other_counts_are_refused():
  with pytest.raises(ValueError, match="as many hypotheses as references; got 3 and 1"):
    bleu.ter(HYPOTHESES, FIRST, FIRST[:1], tokenize="13a")
