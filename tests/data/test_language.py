"""The BLEU tokeniser of a target language."""
import pytest
import sacrebleu
from sacrebleu.tokenizers import tokenizer_spm

from tf_nar.data import language
from tf_nar.evaluate import bleu
from tf_nar.prepare import learn


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
  with pytest.raises(ValueError, match="BLEU's tokeniser is one of none, 13a, .*; got '13b'"):
    language.check("13b")
  monkeypatch.setattr(language.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ImportError, match=r"ja-mecab, which needs MeCab: pip install 'sacrebleu\[ja\]', or choose char"):
    language.check("ja-mecab")


def test_models_of_sentencepiece(tmp_path, monkeypatch):
  monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
  monkeypatch.setattr(tokenizer_spm, "download_file", None)  # Nothing is downloaded.
  lines = ["the low house", "a new tower"]
  pieces = learn.pieces(lines * 9, 20, character_coverage=1.0)
  pieces.save(str(tmp_path))
  own = f"spm:{tmp_path}/vocab.model"
  with pytest.raises(FileNotFoundError, match="flores200 needs the SentencePiece model .*, which is missing; download"):
    language.check("flores200")
  with pytest.raises(FileNotFoundError, match="needs the SentencePiece model x, which is missing; give another file"):
    language.check("spm:x")
  path = tmp_path / "models" / tokenizer_spm.SPM_MODELS["flores200"]["url"].rpartition("/")[2]
  path.parent.mkdir()
  path.write_bytes((tmp_path / "vocab.model").read_bytes())
  one, other = (bleu.bleu(lines, lines[::-1], tokenize=name) for name in ("flores200", own))
  assert one.value == other.value and "tok:flores200" in one.signature
  assert f"tok:spm-{pieces.sha256[:8]}" in other.signature
  assert language.words(lines[0], own) == pieces.split(lines[0])


def test_all_tokenizers_are_sacrebleus():
  assert set(language.TOKENIZERS) <= set(sacrebleu.metrics.bleu.BLEU.TOKENIZERS)
