"""The BLEU tokeniser of a target language."""
import pytest
import sacrebleu

from tf_nar.data import language


@pytest.mark.parametrize("line, tokenizer, spaced", [
  ("ein kleines Haus am Fluss", "13a", True),
  ("дом у реки", "13a", True),
  ("是的，今天狗看见了一辆小汽车！", "zh", True),  # Short as a long word of another language.
  ("我的兄弟今天又找到了那座在河边的绿色的房子，他很快就把它画了下来。", "zh", False),
  ("私の兄は今日また川のそばの緑の家を見つけた", "ja-mecab", True),
  ("カタカナ", "ja-mecab", True),
  ("나는 강가의 집을 보았다", "ko-mecab", True),
  ("สวัสดีครับ", "char", True),
  ("ខ្ញុំឃើញផ្ទះ", "char", True),
  ("1 + 1 = 2 !", "13a", True),
  ("", "13a", True),
  ("x" * 31, "13a", False),
])
def test_guess_by_the_letters(line, tokenizer, spaced):
  assert language.guess([line] * 3) == (tokenizer, spaced)


def test_guess_goes_by_most_of_the_letters():
  zh, en = "一个女人看见了一座桥", "a woman sees a bridge"
  assert language.guess([zh, "OK"]).tokenizer == "zh"  # A foreign word does not change it,
  assert language.guess([en, en, "桥"]).tokenizer == "13a"
  assert language.guess([zh, zh, "の"]).tokenizer == "zh"  # nor does a single Japanese letter.
  assert language.guess([]) == ("13a", True)


def test_guess_reads_a_thousand_lines():
  lines = iter(["ein Haus"] * 1_000 + ["一座桥"] * 9)
  assert language.guess(lines).tokenizer == "13a" and len(list(lines)) == 9


def test_words():
  assert language.words("a  cat , b", "none") == ["a", "cat", ",", "b"]
  assert language.words("a cat, b", "13a") == ["a", "cat,", "b"]
  assert language.words("猫和狗 ok", "zh") == ["猫", "和", "狗", "ok"]
  assert language.words("แมว", "char") == ["แ", "ม", "ว"]


def test_check_names_what_is_wrong(monkeypatch):
  for name in ("none", "13a", "intl", "char", "zh"):
    language.check(name)
  with pytest.raises(ValueError, match="--bleu_tokenize is one of none, 13a, .*; got '13b'"):
    language.check("13b")
  monkeypatch.setattr(language.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ImportError, match=r"ja-mecab, which needs MeCab: pip install 'sacrebleu\[ja\]', or choose char"):
    language.check("ja-mecab")


def test_all_tokenizers_are_sacrebleus():
  assert set(language.TOKENIZERS) <= set(sacrebleu.metrics.bleu.BLEU.TOKENIZERS)
