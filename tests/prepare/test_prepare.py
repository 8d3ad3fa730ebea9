import dataclasses
import gzip
import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import bitext
from tf_nar.prepare import encode
from tf_nar.prepare import folder as folder_lib
from tf_nar.prepare import options as options_lib

ROOT = pathlib.Path(__file__).parent.parent.parent
needs_beam = pytest.mark.skipif(not importlib.util.find_spec("apache_beam"),
                                reason="apache-beam (the extra `beam`) is not installed")
WORDS = "the a low new house tower river lower newest is was over under red green".split()


def sentences(count, seed):
  draw = np.random.default_rng(seed)
  return [" ".join(draw.choice(WORDS, draw.integers(2, 9))) for _ in range(count)]


@pytest.fixture
def options(tmp_path):
  """Options for a text of 60 pairs, of which lines 3 and 7 lack a side and 9 is too long."""
  source, target = sentences(60, 1), sentences(60, 2)
  source[3], target[7], target[9] = "", " ", "river " * 200
  text = {"train.en": source, "train.de": target, "valid.en": sentences(4, 3), "valid.de": sentences(4, 4)}
  for name, lines in text.items():
    (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
  at = lambda name: str(tmp_path / name)
  return options_lib.Options([at("train.en")], [at("train.de")], at("valid.en"), at("valid.de"), at("out"),
                            tokenizer="bpe", operations=20, shards=2, max_length=100, max_ratio=0)


def prepared(options, **changes):
  options = dataclasses.replace(options, **changes)
  made = folder_lib.prepare(options)
  assert corpus.read(options.out) == made.manifest
  return made.manifest


def content(folder):
  return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())}


def lines(path):
  return pathlib.Path(path).read_text().splitlines()


@pytest.mark.parametrize("tokenizer", ["bpe", "sentencepiece"])
def test_records_are_the_text(options, tokenizer):
  manifest = prepared(options, tokenizer=tokenizer, vocab_size=30)
  assert (manifest.tokenization, manifest.tokenized) == (tokenizer, tokenizer == "bpe")
  vocab = vocab_lib.load(options.out)
  pairs = {pair.index: pair for path in corpus.shards(options.out) for pair in records.read(path)}
  assert sorted(pairs) == [number for number in range(60) if number not in (3, 7, 9)]
  source, target = lines(options.source[0]), lines(options.target[0])
  for number, pair in pairs.items():
    assert pair.src[-1] == pair.tgt[-1] == types.EOS
    assert (vocab.decode(pair.src), vocab.decode(pair.tgt)) == (source[number], target[number])


def test_the_manifest_tells_what_was_dropped(options):
  made = folder_lib.prepare(options)
  manifest = made.manifest
  train, valid = manifest.splits["train"], manifest.splits["valid"]
  assert train.dropped == {"empty source": 1, "empty target": 1, "too long": 1}
  assert train.pairs == sum(train.lengths.values()) == 57
  assert valid.pairs == 4 and valid.shards == () and sum(valid.lengths.values()) == 4
  assert [name for name, _ in train.inputs] == ["train.en", "train.de"]
  text = folder_lib.summary(made, options.out)
  assert "57 training pairs, 4 validation pairs" in text
  assert "Dropped: 1 empty source, 1 empty target, 1 too long." in text
  assert f"Next: python bin/train.py --config=configs/... --data_dir={options.out}" in text


def test_validation_is_the_text_as_given(options):
  prepared(options)
  assert corpus.validation(options.out) == (lines(options.valid_source), lines(options.valid_target))


@pytest.mark.parametrize("tokenizer", ["bpe", "sentencepiece"])
def test_twice_and_compressed_give_the_same_bytes(options, tokenizer, tmp_path):
  prepared(options, tokenizer=tokenizer, vocab_size=30)
  compressed = tmp_path / "gz"
  compressed.mkdir()
  for name in ("train.en", "train.de"):
    (compressed / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
  prepared(options, tokenizer=tokenizer, vocab_size=30, out=str(tmp_path / "again"),
           source=[str(compressed / "train.en.gz")], target=[str(compressed / "train.de.gz")])
  before, after = content(options.out), content(tmp_path / "again")
  before["manifest.json"] = before["manifest.json"].replace(b'"train.en"', b'"train.en.gz"')
  before["manifest.json"] = before["manifest.json"].replace(b'"train.de"', b'"train.de.gz"')
  assert before == after


def test_three_processes_give_the_bytes_of_one(options, tmp_path, monkeypatch):
  monkeypatch.setattr(encode, "_LINES", 3)  # 20 tasks, more than are held at a time.
  prepared(options)
  prepared(options, out=str(tmp_path / "three"), processes=3)
  assert content(options.out) == content(tmp_path / "three")


@needs_beam
@pytest.mark.parametrize("tokenizer, more", [
  ("bpe", ["--direct_running_mode=in_memory"]),
  pytest.param("sentencepiece", ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
               marks=pytest.mark.slow),
])
def test_an_engine_gives_the_bytes_of_one_process(options, tmp_path, monkeypatch, tokenizer, more):
  monkeypatch.setattr(bitext, "RANGE", 7)  # 9 ranges.
  prepared(options, tokenizer=tokenizer, vocab_size=30)
  prepared(options, tokenizer=tokenizer, vocab_size=30, out=str(tmp_path / "engine"), runner="DirectRunner",
           runner_options=tuple(more))
  assert content(options.out) == content(tmp_path / "engine")


def test_an_engine_that_is_not_installed(options, monkeypatch):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  with pytest.raises(ImportError, match="^--runner=DirectRunner needs apache-beam, .*: pip install -c constr"):
    prepared(options, runner="DirectRunner")


@needs_beam
def test_an_engine_that_does_not_see_the_text(options):
  with pytest.raises(ValueError, match="machines of --runner=DataflowRunner do not see .*train.en; copy it to gs://"):
    prepared(options, runner="DataflowRunner")
  with pytest.raises(ValueError, match="Unexpected pipeline runner: Direkt"):
    prepared(options, runner="Direkt")


@pytest.mark.parametrize("processes", [1, 2])
def test_doubles_are_dropped_and_told(options, tmp_path, monkeypatch, processes):
  monkeypatch.setattr(encode, "_LINES", 7)
  source, target = lines(options.source[0]), lines(options.target[0])
  source[20], target[20], source[50], target[50] = source[12], target[12], source[20], target[50]
  source[30], target[30], source[40], target[40] = source[12], target[12], source[3], target[3]  # Without a source.
  for path, text in ((options.source[0], source), (options.target[0], target)):
    pathlib.Path(path).write_text("".join(f"{line}\n" for line in text))
  manifest = prepared(options, deduplicate=True, dropped=str(tmp_path / "dropped.tsv"), processes=processes)
  assert manifest.splits["train"].dropped == {"duplicate": 2, "empty source": 2, "empty target": 1, "too long": 1}
  assert lines(tmp_path / "dropped.tsv") == [
    "4\tempty source", "8\tempty target", "10\ttoo long", "21\tduplicate", "31\tduplicate", "41\tempty source"]
  kept = [pair.index for path in corpus.shards(options.out) for pair in records.read(path)]
  assert sorted(kept) == [number for number in range(60) if number not in (3, 7, 9, 20, 30, 40)]
  both = prepared(options, out=str(tmp_path / "both"))
  assert both.splits["train"].pairs == len(kept) + 2


def test_files_are_mixed(options, tmp_path):
  files = dict(source=[options.source[0], options.valid_source], target=[options.target[0], options.valid_target])
  made = folder_lib.prepare(dataclasses.replace(options, **files, temperature=2.0))
  assert "Weights: 0.8478 for train.en, 3.283 for valid.en." in folder_lib.summary(made, options.out)
  pairs = [pair for path in corpus.shards(options.out) for pair in records.read(path)]
  few, many = ({pair.weight for pair in pairs if (pair.index >= 60) == last} for last in (True, False))
  assert len(few) == len(many) == 1 and few.pop() == pytest.approx(many.pop() * (60 / 4)**0.5)
  with pytest.raises(ValueError, match="--weights must be numbers, as 2,1; got 2,b"):
    folder_lib.prepare(dataclasses.replace(options, out=str(tmp_path / "b"), weights=("2", "b")))


def test_several_files_are_one_text(options, tmp_path):
  prepared(options)
  split = {}
  for name in ("train.en", "train.de"):
    text = (tmp_path / name).read_text().splitlines(keepends=True)
    split[name] = [tmp_path / f"{part}.{name}" for part in (0, 1)]
    for path, part in zip(split[name], (text[:11], text[11:]), strict=True):
      path.write_text("".join(part))
  prepared(options, out=str(tmp_path / "parts"), source=[str(p) for p in split["train.en"]],
           target=[str(p) for p in split["train.de"]])
  before, after = content(options.out), content(tmp_path / "parts")
  assert before.pop("manifest.json") != after.pop("manifest.json")  # The names of the inputs.
  assert before == after


def test_words_that_are_ready(options, tmp_path):
  counts = tmp_path / "counts"
  counts.write_text("".join(f"{word} 9\n" for word in [*WORDS, "hou@@", "se"]) + "under 1\n")
  (tmp_path / "valid.de").write_text("the hou@@ se\n" * 4)
  counts.write_text(counts.read_text().replace("under 9\n", ""))
  manifest = prepared(options, tokenizer="words", vocab=str(counts), minimum_count=5)
  assert (manifest.tokenization, manifest.tokenized, manifest.vocabulary_size) == ("words", True, 5 + 16)
  vocab = vocab_lib.load(options.out)
  assert vocab.encode("hou@@ se under") == [19, 20, types.UNK]
  assert corpus.validation(options.out)[1] == ["the hou@@ se"] * 4  # As it was given; BLEU joins it.


def test_another_folders_vocabulary_can_be_used(options, tmp_path):
  before = prepared(options)
  after = prepared(options, out=str(tmp_path / "more"), reuse_vocab=options.out, tokenizer="sentencepiece",
                   source=[options.valid_source], target=[options.valid_target])
  assert after.vocabulary_sha256 == before.vocabulary_sha256
  assert (after.tokenization, after.splits["train"].pairs) == ("bpe", 4)


def test_learning_can_be_from_a_part_of_the_text(options, tmp_path):
  every_third = [number for number in range(60) if number % 3 == 0]
  few = {}
  for name in ("train.en", "train.de"):
    few[name] = tmp_path / f"few.{name}"
    text = lines(tmp_path / name)
    few[name].write_text("".join(f"{text[number]}\n" for number in every_third))
  part = prepared(options, tokenizer="sentencepiece", vocab_size=30, learn_lines=25)
  same = prepared(options, tokenizer="sentencepiece", vocab_size=30, out=str(tmp_path / "few"),
                  source=[str(few["train.en"])], target=[str(few["train.de"])])
  assert part.vocabulary_sha256 == same.vocabulary_sha256
  assert part.splits["train"].pairs > same.splits["train"].pairs


def test_refusals(options, tmp_path):
  with pytest.raises(ValueError, match="--tokenizer=words needs --vocab, a file of `token count` lines"):
    prepared(options, tokenizer="words")
  with pytest.raises(ValueError, match="No training pair is left; dropped: .*'too long': 58.*loosen --max_"):
    prepared(options, max_length=1)
  assert not pathlib.Path(options.out).exists()
  prepared(options)
  with pytest.raises(FileExistsError, match="already exists and is not an empty folder; remove it, or choose another"):
    prepared(options)


def test_the_program(options):
  program = [sys.executable, str(ROOT / "data_prep" / "prepare.py"), "--tokenizer=bpe", "--operations=20",
             "--max_length=100", "--max_ratio=0"]
  inputs = [f"--source={options.source[0]}", f"--target={options.target[0]}", f"--out={options.out}",
            f"--valid_source={options.valid_source}", f"--valid_target={options.valid_target}"]
  run = lambda: subprocess.run([*program, *inputs], capture_output=True, text=True, check=False)
  first, second = run(), run()
  assert first.returncode == 0 and "57 training pairs" in first.stdout, first.stderr
  assert second.returncode == 1
  assert second.stderr.splitlines()[-1].startswith(f"prepare: {options.out} already exists")
