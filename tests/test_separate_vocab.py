"""Two vocabularies, and token tables that are not shared: in every family, and from text to translations."""
import dataclasses
import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.export import tiny
from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import translator
from tf_nar import types
from tf_nar import warm_starts
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import alignment
from tf_nar.export import saved_model
from tf_nar.export import text
from tf_nar.layers import transformer
from tf_nar.models import lanmt
from tf_nar.prepare import aligned
from tf_nar.prepare import folder as folder_lib
from tf_nar.prepare import options as options_lib

FIRST, SIZE, MOVED = len(types.SPECIALS), len(families.VOCAB), 7
FAST = "ar", "ctc", "nat_em", "nat_fertility"
BATCH = families.batch(count=4)
EN = ["the low house", "a new tower by the river", "the lower tower is new", "a low river", "house by house"] * 4
DE = ["das niedrige Haus", "ein neuer Turm am Fluss", "der untere Turm ist neu", "ein Fluss", "Haus an Haus"] * 4


def build(name, made=None, vocab=0, **net):
  """Returns a tiny model; `vocab` is the size of a separate source vocabulary."""
  keras.utils.set_random_seed(0)
  made = made or families.TINY[name].config
  made = dataclasses.replace(made, net=dataclasses.replace(made.net, **net))
  models.check(config.Experiment(name, made, families.TINY[name].search))
  return families.shaken(models.build(name, made, SIZE, source_vocab=vocab), 0.1)


def moved(src):
  """The ids of the same source tokens in a vocabulary with `MOVED` more, all but a few beyond those of targets."""
  return tf.where(src >= FIRST, src + MOVED, src)


def copied(tied, apart):
  """Gives the tables of `apart` the weights of the one table of `tied`."""
  weights = {variable.path: variable.numpy() for variable in tied.variables}
  for variable in apart.variables:
    owner, _, name = variable.path.rpartition("/")
    value = weights.get(variable.path)
    if name in ("source_tokens", "output_tokens"):
      value = weights[f"{owner}/tokens/embeddings"]
    if name == "source_tokens":
      value = np.concatenate([value[:FIRST], np.full([MOVED, value.shape[1]], 9.0, np.float32), value[FIRST:]])
    variable.assign(value)


CASES = {name: families.TINY[name].config for name in models.FAMILIES}
CASES["lanmt at the source"] = dataclasses.replace(CASES["lanmt"], latent=lanmt.Latent(axis="source"))


@pytest.mark.parametrize("case", [
  pytest.param(case, marks=() if case in FAST else pytest.mark.slow) for case in sorted(CASES)])
def test_with_equal_tables_it_is_the_tied_model(case):
  name = case.split()[0]
  tied = build(name, CASES[case])
  unread = name == "nat_fertility"  # Its decoder reads copies of the source.
  apart = build(name, CASES[case], SIZE + MOVED, tie="target" if unread else "none")
  copied(tied, apart)
  other = BATCH._replace(src=moved(BATCH.src))
  losses = []
  for model, batch in ((tied, BATCH), (apart, other)):
    with tf.GradientTape() as tape:
      made = model.objective(families.given(model, batch), seed=[1, 2], training=True, step=1)
      losses.append(types.loss(made))
    gradients = tape.gradient(losses[-1], [variable.value for variable in model.trainable_variables])
    assert all(each is not None for each in gradients)
  np.testing.assert_allclose(*losses, rtol=1e-5)
  np.testing.assert_allclose(tied.score(BATCH.src, BATCH.tgt), apart.score(other.src, BATCH.tgt), rtol=1e-5)
  search = families.TINY[name].search
  one, two = tied.translate(BATCH.src, search), apart.translate(other.src, search)
  np.testing.assert_array_equal(one.tokens, two.tokens)


def test_what_is_tied_by_default():
  assert transformer.Config().tied == "all" and transformer.Config(source_vocab=9).tied == "target"
  tables = lambda **options: [v.path for v in build("nat_em", **options).variables if "tokens" in v.path]
  assert tables() == tables(tie="all") == ["embed/tokens/embeddings"]
  assert len(tables(tie="target")) == len(tables(vocab=9)) == 2 and len(tables(tie="none")) == 3


@pytest.mark.parametrize("make, message", [
  (lambda: build("ar", vocab=9, tie="all"), "net.tie=all needs one vocabulary .* the data has two; choose target or"),
  (lambda: build("ar", tie="some"), "net.tie is one of auto, all, target, none; got 'some'"),
  (lambda: build("ar", vocab=9, source_vocab=8), "net.source_vocab=8 tokens, the data 9; leave net.source_vocab at 0"),
  (lambda: build("nat_fertility", tie="none"), "which this model never reads; choose net.tie=target"),
])
def test_refusals(make, message):
  with pytest.raises(ValueError, match=message):
    make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Data folders of merges and of pieces, each with two vocabularies, and of merges with a joint one."""
  top = tmp_path_factory.mktemp("separate")
  for name, lines in (("en", EN), ("de", DE)):
    (top / name).write_text("".join(f"{line}\n" for line in lines))
  text = (str(top / "en"),), (str(top / "de"),), str(top / "en"), str(top / "de")
  for name, options in {"bpe": {"separate_vocab": True}, "joint": {},
                        "sentencepiece": {"separate_vocab": True, "vocab_size": 26}}.items():
    made = {"tokenizer": "bpe" if name == "joint" else name, "operations": 12, **options}
    folder_lib.prepare(options_lib.Options(*text, str(top / name), **made))
  return top


@pytest.fixture(scope="module")
def workdirs(folder):
  """Runs of random weights on the folder of merges."""
  vocab, made = vocab_lib.load(str(folder / "bpe")), {}
  for name, search in (("ar", {}), ("nat_em", {"candidates": 3})):
    made[name] = tiny.make(folder / name, name, vocab, **search)
  return made


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_each_side_is_encoded_by_its_own(folder, kind):
  vocab = vocab_lib.load(str(folder / kind))
  assert vocab.source is not vocab and vocab.source.source is vocab.source
  pairs = {pair.index: pair for path in corpus.shards(str(folder / kind)) for pair in records.read(path)}
  for index, (source, target) in enumerate(zip(EN, DE, strict=True)):
    src, tgt = pairs[index].src, pairs[index].tgt
    assert (vocab.source.decode(src), vocab.decode(tgt)) == (source, target)
    assert types.UNK not in (*src, *tgt)
  assert types.UNK in vocab.encode("why") and f"{len(vocab.source)} source and {len(vocab)} target" in vocab.size_text
  joint = vocab_lib.load(str(folder / "joint"))
  assert joint.source is joint and joint.source_size == 0 and joint.size_text == f"{len(joint)} tokens"


def test_both_are_kept_and_known_by_their_hash(folder, tmp_path):
  vocab = vocab_lib.load(str(folder / "bpe"))
  again = corpus.derive(str(folder / "bpe"), str(tmp_path / "again"), iter([records.Pair((5, 1), (6, 1))]))
  assert vocab_lib.load(str(tmp_path / "again")).sha256 == vocab.sha256 == again.vocabulary_sha256
  assert len({vocab.sha256, vocab.source.sha256, vocab_lib.WordList(vocab.tokens, vocab.codes).sha256}) == 3
  (tmp_path / "again/source.vocab.txt").unlink()
  with pytest.raises(ValueError, match="The vocabulary in .* is not the one of its records"):
    corpus.read(str(tmp_path / "again"))


def test_fertilities_of_two_vocabularies(folder, tmp_path):
  aligned.align(str(folder / "bpe"), str(tmp_path / "aligned"))
  pairs = [pair for path in corpus.shards(str(tmp_path / "aligned")) for pair in records.read(path)]
  assert len(pairs) == len(EN) and all(sum(pair.fertility) == len(pair.tgt) for pair in pairs)


@pytest.mark.parametrize("options, message", [
  ({"reuse_vocab": "x", "separate_vocab": True}, "--reuse_vocab takes one vocabulary or two, as that folder has"),
  ({"source_vocab": "x"}, "--source_vocab is for --tokenizer=words; --tokenizer=bpe learns .* by --separate_vocab"),
  ({"tokenizer": "words", "vocab": "x", "separate_vocab": True}, "--tokenizer=words needs --source_vocab"),
])
def test_prepare_refuses(folder, tmp_path, options, message):
  text = (str(folder / "en"),), (str(folder / "de"),), str(folder / "en"), str(folder / "de"), str(tmp_path / "out")
  with pytest.raises(ValueError, match=message):
    folder_lib.prepare(options_lib.Options(*text, **{"tokenizer": "bpe"} | options))


def test_two_lists_of_words(folder, tmp_path):
  for name, lines in (("en", EN), ("de", DE)):
    words = sorted({word for line in lines for word in line.split()})
    (tmp_path / name).write_text("".join(f"{word} 1\n" for word in words))
  text = (str(folder / "en"),), (str(folder / "de"),), str(folder / "en"), str(folder / "de"), str(tmp_path / "out")
  made = folder_lib.prepare(options_lib.Options(
    *text, tokenizer="words", vocab=str(tmp_path / "de"), source_vocab=str(tmp_path / "en")))
  assert made.manifest.splits["train"].unknown == 0 and "house" in made.vocab.source.tokens
  assert "house" not in made.vocab.tokens and made.vocab.source_size == len(made.vocab.source)


def test_a_run_translates_scores_and_is_measured(workdirs):
  model = translator.load(workdirs["nat_em"], rescore_with=workdirs["ar"])
  vocab = model.run.vocab
  assert model.run.experiment.model.net.source_vocab == len(vocab.source)
  assert next(model.ids(["the low house"])) == [*vocab.source.encode("the low house"), types.EOS]
  assert len(model.translate(EN[:2])) == 2
  source, target = ([*of.encode(line), types.EOS] for of, line in ((vocab.source, EN[0]), (vocab, DE[0])))
  wanted = model.run.model.score(tf.constant([source]), tf.constant([target]))
  assert model.score(EN[:1], DE[:1]) == pytest.approx(wanted.numpy().tolist(), rel=1e-4)
  assert model.evaluate(EN[:4], DE[:4]).values["ncm"] > 0
  weights = np.zeros([len(target), len(source)])
  weights[0, len(source) - 2] = 1.0
  assert alignment.pharaoh(weights, EN[0], target, vocab) == "2-0"


@pytest.fixture(scope="module")
def student(workdirs):
  """The experiment of a student of the run `ar`."""
  return config.Experiment("nat_em", runs.read(workdirs["nat_em"]).model, models.family("nat_em").Search())


def reordered(vocab):
  """A vocabulary of the same size whose tokens have other ids."""
  return vocab_lib.WordList([*vocab.tokens[:FIRST], *vocab.tokens[:FIRST - 1:-1]], vocab.codes)


def test_a_warm_start_takes_both_sides(folder, workdirs, student, tmp_path):
  run = runs.plan(student, vocab_lib.load(str(folder / "bpe")), str(tmp_path))
  warm_starts.start_from(run, workdirs["ar"])
  teacher = runs.load(workdirs["ar"]).model.embed
  np.testing.assert_array_equal(run.model.net.embed.source_table, teacher.source_table)
  np.testing.assert_array_equal(run.model.net.embed.tokens.embeddings, teacher.tokens.embeddings)


FRESH = {"source": {"embed/source_tokens"}, "target": {"embed/tokens/embeddings", "embed/output_bias"}}


@pytest.mark.parametrize("family", ["ar", "nat_em"])
@pytest.mark.parametrize("side", sorted(FRESH))
def test_a_warm_start_takes_the_side_that_is_the_same(folder, workdirs, student, tmp_path, caplog, family, side):
  vocab = vocab_lib.load(str(folder / "bpe"))
  other = vocab if side == "source" else reordered(vocab)
  other.separate_source = reordered(vocab.source) if side == "source" else vocab.source
  experiment = runs.read(workdirs["ar"]) if family == "ar" else student
  run = runs.plan(experiment, other, str(tmp_path))
  before = {variable.path: variable.numpy() for variable in run.model.variables}
  with caplog.at_level("INFO", "absl"):
    warm_starts.start_from(run, workdirs["ar"])
  kept = {variable.path for variable in run.model.variables if np.array_equal(variable, before[variable.path])}
  theirs = {variable.path for variable in runs.load(workdirs["ar"]).model.variables}
  assert kept & theirs == FRESH[side] and f"ar. Its {side} vocabulary is another, so embed/" in caplog.text


def test_a_warm_start_needs_a_side_that_is_the_same(folder, workdirs, student, tmp_path):
  run = runs.plan(student, vocab_lib.load(str(folder / "bpe")), str(tmp_path))
  other = reordered(run.vocab)
  other.separate_source = reordered(run.vocab.source)
  for vocab in (other, vocab_lib.load(str(folder / "joint"))):
    with pytest.raises(ValueError, match="was trained with other vocabularies; start from a run with one .* the same"):
      warm_starts.start_from(run._replace(vocab=vocab), workdirs["ar"])
  apart = run._replace(experiment=config.override(run.experiment, "model.net.tie=none"))
  with pytest.raises(ValueError, match="was trained with net.tie=target, but this model has net.tie=none; start from"):
    warm_starts.start_from(apart, workdirs["ar"])


def test_strings_are_encoded_in_a_graph_as_by_each(folder):
  for kind in ("bpe", "sentencepiece"):
    vocab = vocab_lib.load(str(folder / kind))
    for of, lines in ((vocab.source, EN), (vocab, DE)):
      assert text.build(of).encode(tf.constant(lines)).to_list() == [of.encode(line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("kind, name", [("bpe", "ar"), ("sentencepiece", "nat_em")])
def test_from_training_to_an_export(folder, tmp_path, kind, name):
  short = config.Train(steps=2, tokens_per_batch=256, max_length=12, buckets=1, log_every=1, validate_every=2)
  net = dataclasses.replace(families.NET, max_length=32)
  experiment = config.Experiment(name, dataclasses.replace(families.TINY[name].config, net=net),
                                 families.TINY[name].search, dataclasses.replace(short, max_length=32))
  model = translator.train(experiment, str(folder / kind), str(tmp_path / "run"))
  saved_model.export(model.run, model.searcher(), str(tmp_path / "out"))  # It compares a fresh process with the run.
  if name == "ar" and importlib.util.find_spec("ctranslate2"):
    from tf_nar.export import ct2
    from tf_nar.export import ct2_program
    ct2.export(str(tmp_path / "run"), str(tmp_path / "ct2"))  # The same.
    assert len(ct2_program.Translator(str(tmp_path / "ct2"))(EN[:3])) == 3
