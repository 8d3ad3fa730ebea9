"""Exports an AR model as a CTranslate2 folder, as a fallback beside the NAR model or as a baseline for its speed.

  ours                                            in CTranslate2's `TransformerSpec`
  one embedding table for source, target, output  three weights that share one array, unless `net.tie` separates them;
                                                  both scale it by sqrt(D)
  the bias on source embeddings                   added to the encoder's table of positions
  sqrt(D) P[i], or sines and cosines interleaved  a table of positions, added as it is
  norm of the embeddings, then after residuals    layernorm_embedding, pre_norm=False
  norm first, one at the end                      pre_norm=True, layer_norm
  a zero vector as the decoder's first input      start_from_zero_embedding
  PAD and BOS, excluded from the output           their bias in the output layer, `NEVER`

# Differs: excluded tokens have no probability here, whereas our softmax keeps theirs, about 1/V each after training
with label smoothing. The searches differ too: ours counts a hypothesis that ends among the 2 * beam best extensions,
CTranslate2 among the `beam` best, so ours with beam=1 is not quite its greedy search. The two length penalties have
different formulas; with alpha=0 both scores are log p. After `silence` the scores of both models agree.
"""
import dataclasses
import inspect
import json
import os
from typing import Any, Iterable

import numpy as np
import tensorflow as tf

from tf_nar import runs
from tf_nar import types
from tf_nar.data import atomic
from tf_nar.export import metadata
from tf_nar.export import optional
from tf_nar.ops import tokens as tokens_lib

NEVER = -1e4  # Bias that excludes a token; representable in float16 too.
PROGRAM = "translate.py"
LENGTHS, TOLERANCE = (1, 2, 3, 5, 8), 1e-3  # Tokens of the sentences that `check` compares; nats of log p.


def export(workdir: str, out: str, *, overrides: Iterable[str] = (), quantization: str = "float32") -> None:
  """Writes the CTranslate2 folder of an AR run: the model, the vocabulary, metadata.json and a program, translate.py.

  Args:
    workdir: the run folder.
    out: the folder to make; a local path, as CTranslate2 reads no other.
    overrides: settings of the run's experiment, for example "search.beam=1".
    quantization: the type of the exported weights, as `bin/export_ct2.py --quantization`.

  Raises:
    ValueError: for a run of another family.
    FileExistsError: if `out` is a file, or a folder that is not empty.
    ImportError: if ctranslate2 is not installed.
    RuntimeError: if the exported model's scores differ from the run's; then nothing is left behind.
  """
  ctranslate2 = optional.package("ctranslate2")
  run = runs.load(workdir, [*overrides, "model.net.dtype=float32"])
  if run.experiment.family != "ar":
    raise ValueError(f"Expected a run of the family ar, got {workdir} of the family {run.experiment.family}; "
                     "export it with bin/export.py.")
  silence(run.model, run.experiment.search.unknown)
  with atomic.folder(out) as folder:
    made = spec(run)
    made.validate()
    made.optimize(quantization=quantization)
    made.save(folder)
    run.vocab.save(folder)
    facts = metadata.describe(run, []) | {"quantization": quantization, "ctranslate2": ctranslate2.__version__}
    atomic.write(os.path.join(folder, metadata.FILE), json.dumps(facts, indent=2).encode())
    atomic.write(os.path.join(folder, PROGRAM), inspect.getsource(_program()).encode())
    if quantization == "float32":  # The other types round the weights, so scores differ.
      check(folder, run)


def silence(model: Any, unknown: bool = False) -> None:
  """Sets, in place, the output bias of excluded tokens to `NEVER`: they get no probability, as in CTranslate2."""
  forbid = tokens_lib.forbidden(unknown)
  bias = model.embed.bias
  bias.assign(tf.tensor_scatter_nd_update(bias.value, [[word] for word in forbid], [NEVER] * len(forbid)))


def tokens(vocab: Any) -> list[str]:
  """Returns CTranslate2's list of tokens: ours, with a space before reserved tokens, so that no text contains them.

  UNK gets no space: text that contains it means it.
  """
  reserved = {types.PAD, types.EOS, types.BOS} | ({types.MASK} if vocab.has_mask else set())
  tokens = vocab.spell(range(len(vocab)))
  return [f" {token}" if number in reserved else token for number, token in enumerate(tokens)]


def spec(run: runs.Run) -> Any:
  """Returns the `ctranslate2.specs.TransformerSpec` with the weights of a run of `ar` in float32."""
  from ctranslate2 import specs
  model, net = run.model, run.experiment.model.net
  made = specs.TransformerSpec.from_config(
    (net.encoder_layers, net.decoder_layers), net.heads, pre_norm=net.norm == "pre",
    layernorm_embedding=net.norm == "post")
  names = tokens(run.vocab)
  made.register_source_vocabulary(tokens(run.vocab.source))
  made.register_target_vocabulary(names)
  config = made.config
  config.unk_token, config.eos_token, config.bos_token = (names[i] for i in (types.UNK, types.EOS, types.BOS))
  config.decoder_start_token, config.add_source_eos = config.bos_token, True
  config.layer_norm_epsilon = net.epsilon
  positions, embed = model.embed.positions(net.max_length).numpy(), model.embed
  made.decoder.embeddings.weight = embed.tokens.embeddings.numpy()
  own = lambda table: made.decoder.embeddings.weight if table is None else table.numpy()
  made.encoder.embeddings[0].weight = own(embed.source_table)
  made.decoder.projection.weight = own(embed.output_table)
  made.encoder.position_encodings.encodings = positions + model.source_bias.numpy()
  made.decoder.position_encodings.encodings = positions
  made.decoder.projection.bias = model.embed.bias.numpy()
  made.decoder.start_from_zero_embedding = not run.experiment.model.start_from_bos
  for theirs, ours in ((made.encoder, model.encoder), (made.decoder, model.decoder)):
    _norm(theirs.layernorm_embedding if net.norm == "post" else theirs.layer_norm, ours.norm)
    for layer, block in zip(theirs.layer, ours.blocks, strict=True):
      _block(layer, block)
  return made


def check(folder: str, run: runs.Run) -> None:
  """Compares the log p of a `silence`d run's translations of random sentences with that of the exported model.

  Args:
    folder: of the CTranslate2 model.
    run: the `runs.Run` that it was made from, after `silence`.

  Raises:
    RuntimeError: if they differ by more than `TOLERANCE` nats.
  """
  draw, names, of_source = np.random.default_rng(0), tokens(run.vocab), tokens(run.vocab.source)
  lengths = [length for length in LENGTHS if length < run.experiment.model.net.max_length]
  sources = [draw.integers(len(types.SPECIALS), len(of_source), length) for length in lengths]
  ids = tf.ragged.constant([[*map(int, source), types.EOS] for source in sources], tf.int32).to_tensor(types.PAD)
  greedy = dataclasses.replace(run.experiment.search, beam=1, candidates=1, alpha=0.0)
  found = tf.function(run.model.translate, autograph=False)(ids, greedy)
  predictions, ours = found.tokens[:, 0].numpy(), found.score[:, 0].numpy()
  spell = lambda rows, names: [[names[word] for word in row if word not in (types.PAD, types.EOS)] for row in rows]
  translator = optional.package("ctranslate2").Translator(folder)
  scored = translator.score_batch(spell(sources, of_source), spell(predictions, names))
  theirs = [sum(each.log_probs) for each in scored]
  if not np.allclose(ours, theirs, rtol=0, atol=TOLERANCE):
    raise RuntimeError(f"CTranslate2 scores translations {theirs}, the run {ours.tolist()}: nothing was exported. "
                       "Install the version in constraints-cpu.txt; if it is installed, report this line.")


def _block(layer, block):
  attend, = block.self_attend  # One, as the run is loaded without shards.
  _linear(layer.self_attention.linear[0], attend.query_key_value)
  _linear(layer.self_attention.linear[1], attend.out)
  _linear(layer.ffn.linear_0, block.ffn_in[0])
  _linear(layer.ffn.linear_1, block.ffn_out[0])
  branches = [layer.self_attention, layer.ffn]
  for attend in block.cross_attend:
    for theirs, ours in zip(layer.attention.linear, (attend.query, attend.key_value, attend.out), strict=True):
      _linear(theirs, ours)
    branches.insert(1, layer.attention)
  for branch, norm in zip(branches, block.norms, strict=True):
    _norm(branch.layer_norm, norm)


def _linear(theirs, ours):
  theirs.weight, theirs.bias = np.ascontiguousarray(ours.kernel.numpy().T), ours.bias.numpy()


def _norm(theirs, ours):
  theirs.gamma, theirs.beta = ours.gamma.numpy(), ours.beta.numpy()


def _program():
  from tf_nar.export import ct2_program  # Imported late, as it imports ctranslate2.
  return ct2_program
