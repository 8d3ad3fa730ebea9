"""Data folders made from texts as they occur in practice."""
import dataclasses
import gzip
import os
import pathlib
import re
import threading

import pytest

from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import testset
from tf_nar.prepare import folder as folder_lib
from tf_nar.prepare import learn
from tf_nar.prepare import options as options_lib

EN = ["the low house", "a new tower by the river", "the lower tower is new", "a low river", "house by house"] * 4
DE = ["das niedrige Haus", "ein neuer Turm am Fluss", "der untere Turm ist neu", "ein Fluss", "Haus an Haus"] * 4
ZH = ["那座低矮的房子。", "河边的一座新塔！", "那座较低的塔是新的。", "一条河。", "房子，又是房子。"] * 4


@pytest.fixture
def make(tmp_path, monkeypatch):
  """Returns a function of texts and options -> `Made`; files are named as fields, and text may be bytes."""
  said = []
  for module in (folder_lib, learn, corpus.text):
    monkeypatch.setattr(module.logging, "warning", lambda text, *values: said.append(text % values))

  def write(name, lines):
    data = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path / name
    if isinstance(lines, bytes) or not path.exists():
      path.write_bytes(data)
    return str(path)

  def made(from_lines, to_lines, out="out", **options):
    number = len(list(tmp_path.glob("valid*.en")))
    paths = [write(f"{name}{number}.{end}", lines) for name, end, lines in (
      ("train", "en", from_lines), ("train", "de", to_lines), ("valid", "en", EN[:4]), ("valid", "de", DE[:4]))]
    paths = [options.pop(name, path) for name, path in zip(("source", "target", "valid_source", "valid_target"), paths,
                                                          strict=True)]
    options = options_lib.Options((paths[0],), (paths[1],), *paths[2:], str(tmp_path / out), **{
      "tokenizer": "bpe", "operations": 12, "vocab_size": 400} | options)
    try:
      return folder_lib.prepare(options)
    except ValueError as error:
      if not (most := re.search("too large for this text; give ([0-9]+) or less", str(error))):
        raise
      said.clear()
      return folder_lib.prepare(dataclasses.replace(options, vocab_size=int(most[1])))

  made.warnings = said
  return made


def test_what_the_targets_often_repeat_may_be_repeated(make, tmp_path):
  make(EN, ["Zimmer 1000"] * 15 + ["das Haus"] * 5, tokenizer="sentencepiece", vocab_size=40)
  vocab = vocab_lib.load(str(tmp_path / "out"))
  may = {token for token, free in zip(vocab.spell(range(len(vocab))), vocab.repeatable(), strict=True) if free}
  assert "m" in may and "0" in may and "a" not in may


def ids(out):
  pairs = {pair.index: pair for path in corpus.shards(str(out)) for pair in records.read(path)}
  return [(pair.src, pair.tgt) for _, pair in sorted(pairs.items())]


def texts(out):
  vocab = vocab_lib.load(str(out))
  return [tuple(map(vocab.decode, pair)) for pair in ids(out)]


def content(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_text_that_comes_through_pipes(make, tmp_path):
  make(EN, DE)
  names = [path.name for path in (tmp_path / "out").parent.glob("*0.*")]
  (tmp_path / "pipes").mkdir()
  for name in names:
    os.mkfifo(tmp_path / "pipes" / name)
    threading.Thread(target=(tmp_path / "pipes" / name).write_bytes, args=[(tmp_path / name).read_bytes()],
                     daemon=True).start()
  at = lambda name: f"{tmp_path}/pipes/{name}"
  make(EN, DE, "piped", source=at("train0.en"), target=at("train0.de"), valid_source=at("valid0.en"),
       valid_target=at("valid0.de"))
  assert content(tmp_path / "out") == content(tmp_path / "piped")


@pytest.mark.parametrize("data, message", [
  (gzip.compress("\n".join(EN).encode(), mtime=0)[:40], r"^.*/train0.en is a broken .gz archive \(.*\); fetch or pack"),
  ("\n".join(EN).encode("utf-16"), "^.*/train0.en must be UTF-8, but is UTF-16; convert it: iconv"),
  ("ein schöner Turm\n".encode("latin-1"), "^.*/train0.en, line 1: not UTF-8"),
  (b"", "^.*/train0.en is empty; expected one sentence per line"),
])
def test_what_is_no_text_names_its_file_and_leaves_nothing(make, tmp_path, data, message):
  with pytest.raises(ValueError, match=message) as error:
    make(data, DE)
  assert "\n" not in str(error.value) and [path for path in tmp_path.iterdir() if "out" in path.name] == []


def test_carriage_returns_are_white_space_and_counted(make, tmp_path):
  source = "\n".join(EN).replace("low", "low\r").encode()
  make(source, "\r\n".join(DE).encode(), max_ratio=0)
  assert texts(tmp_path / "out") == [(line.replace("low ", "low  ").replace("  ", " "), target)
                                     if "lower" not in line else (line.replace("lower", "low er"), target)
                                     for line, target in zip(EN, DE, strict=True)]
  inside = sum("low" in line for line in EN)
  assert f"{inside} lines have a carriage return inside; it is read as a space." in "".join(make.warnings)
  assert "".join(make.warnings).count("carriage return") == 1  # Though it is read several times.


def test_a_byte_order_mark_is_no_text(make, tmp_path):
  make("\n".join(EN).encode("utf-8-sig"), "\n".join(DE).encode("utf-8-sig"))
  assert texts(tmp_path / "out") == list(zip(EN, DE, strict=True))
  assert "\ufeff" not in "".join(vocab_lib.load(str(tmp_path / "out")).tokens)


def test_where_no_pair_repeats_that_is_said(make):
  with pytest.raises(ValueError, match="No pair of characters occurs twice in the text, so no BPE merge can be"):
    make(["ab cd", "ef gh"], ["ij kl", "mn op"])


def test_the_share_of_the_unknown_is_said_and_refused_near_all(make, tmp_path):
  counts = tmp_path / "counts"
  counts.write_text("the 9\nHaus 9\n")
  made = make(["the x", "the the"], ["Haus Haus", "Haus y"], tokenizer="words", vocab=str(counts), max_ratio=0)
  assert made.manifest.splits["train"].unknown == 2  # Of 8 tokens.
  assert "Unknown: 25.00 % of the tokens of the training pairs." in folder_lib.summary(made, "out")
  with pytest.raises(ValueError, match="^98 % of the tokens are unknown to .*counts, which must be of another text. "):
    make(["the " + "x " * 9, "y " * 10], ["z " * 10, "z " * 10], "other", tokenizer="words", vocab=str(counts))
  assert not (tmp_path / "other").exists()
  with pytest.raises(ValueError, match="^100 % of the tokens are unknown to .*/out, which must be of another text"):
    make(ZH, ZH, "other", reuse_vocab=str(tmp_path / "out"))


def test_normalization_is_an_option_and_what_it_changes_is_counted(make, tmp_path):
  lines = [f"{line} ！ 10²" if number % 2 else line for number, line in enumerate(EN)]
  options = dict(tokenizer="sentencepiece", character_coverage=1.0)
  made = make(lines, DE, **options)
  assert made.manifest.splits["train"].changed == 10  # Of 40 lines.
  assert "Normalization changes 25.0 % of the lines (--normalization=identity" in folder_lib.summary(made, "out")
  assert texts(tmp_path / "out")[1][0].endswith(" ! 102")
  made = make(lines, DE, "same", normalization="identity", **options)
  assert made.manifest.splits["train"].changed == 0
  assert [source for source, _ in texts(tmp_path / "same")] == lines


def test_bytes_in_place_of_unknown_characters(make, tmp_path):
  lines = [*EN * 9, "Łódź ☃"]
  options = dict(tokenizer="sentencepiece", character_coverage=0.99, normalization="identity")
  made = make(lines, [*DE * 9, "ein Turm"], byte_fallback=True, **options)
  assert made.manifest.splits["train"].unknown == 0 and texts(tmp_path / "out")[-1][0] == "Łódź ☃"
  made = make(lines, [*DE * 9, "ein Turm"], "plain", **options)
  assert made.manifest.splits["train"].unknown > 0 and "<unk>" in texts(tmp_path / "plain")[-1][0]


def test_very_long_lines_are_counted(make, tmp_path):
  long = " ".join(EN * 15)
  options = dict(tokenizer="sentencepiece", max_length=9_000)
  make([*EN, long, long], [*DE, long, long], **options)
  assert f"4 lines have more than {learn.LONGEST} bytes: no pieces were learned from them." in make.warnings
  assert texts(tmp_path / "out")[-1] == (long, long)  # They are kept as training pairs.
  with pytest.raises(ValueError, match=r"^All 4 lines have more than 4192 bytes, .*; give one sentence per line.$"):
    make([long, long], [long, long], "other", **options)


def test_a_target_without_spaces_is_measured_in_characters(make, tmp_path):
  made = make(EN, ZH, tokenizer="sentencepiece", normalization="identity", character_coverage=1.0,
              max_ratio=0)
  assert made.vocab.bleu_tokenize == "zh" and made.guessed
  told = "BLEU tokenises the target language with tok:zh (guessed by its script; --bleu_tokenize sets it)"
  assert told in folder_lib.summary(made, "out")
  vocab = vocab_lib.load(str(tmp_path / "out"))  # As a training does.
  rows = {row.name: row for row in testset.quality(ZH, [vocab.encode(line) for line in ZH], ZH, vocab)}
  assert rows["bleu_detokenized"].value == pytest.approx(100) and "tok:zh" in rows["bleu_detokenized"].signature
  half = [line[:len(line) // 2 + 2] for line in ZH]
  rows = {row.name: row for row in testset.quality(half, [vocab.encode(line) for line in half], ZH, vocab)}
  assert 5 < rows["bleu_detokenized"].value < 90  # By words between spaces it would be 0.
  assert not [line for line in make.warnings if "hardly any spaces" in line]


def test_a_target_without_spaces_for_words_between_spaces_is_warned_of(make):
  long = [line.replace("。", "") * 6 for line in ZH]
  made = make(EN, long, max_ratio=0)
  assert made.vocab.bleu_tokenize == "none"
  assert any("hardly any spaces, but --tokenizer=bpe expects words separated by spaces" in line
             for line in make.warnings)


def test_a_tokenizer_may_be_told(make, tmp_path):
  made = make(EN, DE, tokenizer="sentencepiece", bleu_tokenize="char")
  assert vocab_lib.load(str(tmp_path / "out")).bleu_tokenize == "char"
  assert "tok:char (as requested, or as in the vocabulary)" in folder_lib.summary(made, "out")
  again = make(EN, DE, "again", reuse_vocab=str(tmp_path / "out"))
  assert again.vocab.bleu_tokenize == "char" and again.vocab.sha256 == made.vocab.sha256
  with pytest.raises(ValueError, match="BLEU's tokeniser is one of none, 13a, .* got '14a'"):
    make(EN, DE, "other", bleu_tokenize="14a")
  assert not (tmp_path / "other").exists()


def test_a_run_folder_is_not_overwritten(make, tmp_path):
  run = tmp_path / "run"
  run.mkdir()
  (run / "weights.npz").write_bytes(b"precious")
  (tmp_path / "out.tmp").mkdir()
  with pytest.raises(FileExistsError, match="run already exists and is not an empty folder; remove it, or choose"):
    make(EN, DE, "run")
  make(EN, DE)
  assert content(run) == {"weights.npz": b"precious"} and (tmp_path / "out.tmp").is_dir()


def test_limits_of_length_are_learned(make, tmp_path):
  made = make(["ww"] * 30 + ["ww ww"] * 30, ["vv " * 29 + "vv"] * 30 + ["vv"] * 30, max_ratio=0)
  split = made.manifest.splits["train"]
  assert split.length_ratio == 5.5  # 31 tokens with EOS are 11 over 20, of a source of 2.
  assert dataclasses.asdict(corpus.read(str(tmp_path / "out")).splits["train"])["length_ratio"] == 5.5


def test_nothing_reserved_comes_from_a_text(make, tmp_path):
  lines = ["<unk> <eos> a", "<mask> </s> b", "<pad> ▁ @@"] * 3
  for tokenizer in ("bpe", "sentencepiece"):
    make(lines, lines, tokenizer, tokenizer=tokenizer, max_ratio=0, character_coverage=1.0)
    for source, _ in ids(tmp_path / tokenizer):
      assert not set(source[:-1]) & {types.PAD, types.EOS, types.BOS, types.MASK}


def test_names_of_inputs_that_are_no_text(make, tmp_path):
  name = os.fsdecode(b"train\xf6.en")
  pathlib.Path(tmp_path, name).write_text("\n".join(EN))
  made = make(EN, DE, source=str(tmp_path / name))
  assert made.manifest.splits["train"].inputs[0][0] == "train\\xf6.en"
