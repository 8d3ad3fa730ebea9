import pytest
import sacrebleu

from tf_nar.evaluate import bleu

HYPOTHESES = ["the cat sat on the mat, today.", "a dog barks at night"]
REFERENCES = ["the cat sat on a mat, today.", "a dog barks in the night"]


def test_raw_text_is_cut_as_everybody_does():
  value, signature = bleu.bleu(HYPOTHESES, REFERENCES, tokenize="13a")
  assert value == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
  assert "tok:13a" in signature and sacrebleu.__version__ in signature


def test_tokenised_text_is_taken_as_it_is():
  value, signature = bleu.bleu(HYPOTHESES, REFERENCES, tokenize="none")
  assert value == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], tokenize="none", force=True).score
  assert "tok:none" in signature
  assert value != bleu.bleu(HYPOTHESES, REFERENCES, tokenize="13a").value


def test_chrf():
  value, signature = bleu.chrf(HYPOTHESES, REFERENCES)
  assert value == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
  assert "nc:6|nw:0" in signature


def test_the_same_text_is_perfect():
  assert bleu.bleu(REFERENCES, REFERENCES, tokenize="13a").value == pytest.approx(100.0)


@pytest.mark.parametrize("hypotheses, references, message", [
    (["a"], ["a", "b"], "as many hypotheses as references; got 1 and 2"),
    ([], [], "no sentence to evaluate"),
])
def test_refusals(hypotheses, references, message):
  with pytest.raises(ValueError, match=message):
    bleu.bleu(hypotheses, references, tokenize="none")
  with pytest.raises(ValueError, match=message):
    bleu.chrf(hypotheses, references)
