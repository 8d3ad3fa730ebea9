"""The AR model in CTranslate2 against ours: tokens and scores, for every layout of the network."""
import json

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed; it comes with the extra ct2.")

from tests.export import tiny
from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.export import ct2
from tf_nar.export import ct2_program
from tf_nar.layers import transformer
from tf_nar.ops import masking

VOCAB = vocab_lib.WordList([*types.SPECIALS, *(f"w{k}" for k in range(40))])
LINES = [" ".join(f"w{k}" for k in np.random.default_rng(n).integers(0, 40, n)) for n in range(1, 12)]
LAYOUTS = [("post", "learned", False), ("post", "sine", True), ("pre", "learned", True), ("pre", "sine", False)]


def make(folder, norm="post", positions="learned", start_from_bos=False):
  """Writes a run with large random weights, which ends some translations early and others not; returns its path."""
  net = transformer.Config(width=16, ffn=32, heads=2, encoder_layers=1, decoder_layers=2, max_length=24,
                           norm=norm, positions=positions, epsilon=1e-3, dtype="mixed_bfloat16")
  part = models.family("ar")
  run = runs.create(config.Experiment("ar", part.Config(net, start_from_bos=start_from_bos), part.Search()),
                    VOCAB, str(folder))
  draw = np.random.default_rng(0)
  weights = {v.path: v.numpy() + draw.normal(0, 0.3, v.shape).astype(np.float32) for v in run.model.variables}
  weights[run.model.embed.bias.path][types.EOS] += 3
  runs.save_weights(weights, str(folder))
  return str(folder)


def padded(rows):
  return tf.ragged.constant(rows, tf.int32).to_tensor(types.PAD)


def log_probs(run, src, tgt):
  """Returns our log p of every token at every position of int32 [B, T], given those before it: float32 [B, T, V]."""
  model, positions = run.model, tgt.shape[1]
  start = model.embed.look_up(tf.fill([len(tgt), 1], types.BOS)) * float(run.experiment.model.start_from_bos)
  x = tf.concat([start, model.embed.look_up(tgt)[:, :-1]], 1) + model.embed.positions(positions)
  states = model.decoder(x, masking.causal(positions), model.encode(src), masking.valid(src)[:, None])
  return tf.nn.log_softmax(model.embed.logits(states)).numpy()


@pytest.mark.parametrize("norm, positions, start_from_bos", LAYOUTS)
def test_it_says_and_scores_what_ours_does(tmp_path, norm, positions, start_from_bos):
  ct2.export(make(tmp_path / "run", norm, positions, start_from_bos), f"{tmp_path}/ct2")
  run = runs.load(f"{tmp_path}/run", ["model.net.dtype=float32"])
  ct2.silence(run.model)
  theirs, names = ct2_program.Translator(f"{tmp_path}/ct2"), ct2.tokens(VOCAB)
  src = padded([[*VOCAB.encode(line), types.EOS] for line in LINES])
  for beam in (1, 5):
    found = theirs.model.translate_batch(
      [line.split(" ") for line in LINES], beam_size=beam, length_penalty=0, min_decoding_length=0,
      max_decoding_length=20, return_scores=True, return_end_token=True)
    said = [[names.index(token) for token in each.hypotheses[0]] for each in found]
    for row, ours, each in zip(said, log_probs(run, src, padded(said)), found, strict=True):
      assert np.isclose(ours[range(len(row)), row].sum(), each.scores[0], rtol=0, atol=1e-3)
      if beam == 1:
        assert row == ours[:len(row)].argmax(-1).tolist()


def test_pad_and_bos_are_never_said(tmp_path):
  folder = make(tmp_path / "run")
  weights = dict(np.load(f"{folder}/weights.npz"))
  weights["embed/output_bias"][[types.PAD, types.BOS]] = 50
  weights["embed/output_bias"][types.EOS] = -50
  runs.save_weights(weights, folder)
  ct2.export(folder, f"{tmp_path}/ct2")
  said = ct2_program.Translator(f"{tmp_path}/ct2")(LINES)
  assert any(said) and not any(types.SPECIALS[i] in line for line in said for i in (types.PAD, types.BOS))


class Echo:
  """Replaces CTranslate2's model: returns its input as the translation, and records the call."""

  def translate_batch(self, tokens, **options):
    self.tokens, self.options = tokens, options
    return [type("Found", (), {"hypotheses": [each]}) for each in tokens]


@pytest.mark.parametrize("kind", tiny.VOCABULARIES)
def test_the_program_cuts_and_joins_as_the_run(tmp_path, kind):
  vocab = tiny.VOCABULARIES[kind]()
  ct2.export(tiny.make(tmp_path / "run", "ar", vocab, alpha=0.5), f"{tmp_path}/ct2")
  translate = ct2_program.Translator(f"{tmp_path}/ct2")
  translate.model = Echo()
  lines = ["a low house", "", "  the  newest \u2603 tower", " <eos> show <pad> <mask> <unk>"]
  said = translate(lines)
  names = ct2.tokens(vocab)
  ids = lambda tokens: [names.index(token) if token in names else types.UNK for token in tokens]
  nonempty = [line for line in lines if line.strip()]
  assert [ids(tokens) for tokens in translate.model.tokens] == [vocab.encode(line) for line in nonempty]
  assert said[1] == "" and said[0] == vocab.decode(vocab.encode(lines[0]))
  assert translate.model.options == {
    "beam_size": 5, "length_penalty": 0.5, "max_input_length": 12, "max_decoding_length": 12,
    "min_decoding_length": 0}
  reserved = [names[i] for i in (types.PAD, types.BOS, types.MASK)]
  translate.model.translate_batch = lambda tokens, **_: [type("Found", (), {"hypotheses": [reserved + tokens[0]]})]
  assert translate(lines[:1]) == said[:1]


def test_a_long_line_is_cut(tmp_path):
  ct2.export(make(tmp_path / "run"), f"{tmp_path}/ct2")
  line = " ".join(["w1 w2 w3"] * 20)
  translate = ct2_program.Translator(f"{tmp_path}/ct2")
  assert translate([line]) == translate([" ".join(line.split(" ")[:23])])


def test_int8_is_smaller_and_says_so(tmp_path):
  folder = make(tmp_path / "run")
  ct2.export(folder, f"{tmp_path}/float32")
  ct2.export(folder, f"{tmp_path}/int8", overrides=["search.beam=2"], quantization="int8")
  size = {name: (tmp_path / name / "model.bin").stat().st_size for name in ("float32", "int8")}
  assert size["int8"] < size["float32"] / 2
  about = json.loads((tmp_path / "int8/metadata.json").read_text())
  assert about["quantization"] == "int8" and about["search"]["beam"] == 2 and about["family"] == "ar"
  assert len(ct2_program.Translator(f"{tmp_path}/int8")(LINES)) == len(LINES)


def test_another_score_exports_nothing(tmp_path, monkeypatch):
  spec = ct2.spec

  def wrong(run):
    made = spec(run)
    made.decoder.start_from_zero_embedding = True
    return made

  monkeypatch.setattr(ct2, "spec", wrong)
  with pytest.raises(RuntimeError, match=r"CTranslate2 scores translations \[.*the run \[.*nothing was exported"):
    ct2.export(make(tmp_path / "run", start_from_bos=True), f"{tmp_path}/ct2")
  assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_refusals(tmp_path):
  nat = tiny.make(tmp_path / "nat", "nat_em", VOCAB)
  with pytest.raises(ValueError, match=f"Expected a run of the family ar, got {nat} of the family nat_em; export"):
    ct2.export(nat, f"{tmp_path}/ct2")
  with pytest.raises(FileExistsError, match="run already exists"):
    ct2.export(make(tmp_path / "run"), f"{tmp_path}/run")
