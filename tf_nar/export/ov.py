"""Exports a model of few passes as an OpenVINO folder, which needs openvino, numpy and the tokeniser to translate.

  model.xml, codes.xml,     the networks of `ov_graphs`, with their weights in .bin
  decoder.xml
  translate.py              `ov_program`: tokeniser and search
  ov_*.py                   what `translate.py` reads: searches, the vocabulary, the check of drafts, the networks
  drafter/                  an export of the run that drafts, if there is one
  metadata.json, README.md  the facts of the model, and its card
  vocab.*, bpe.codes        the vocabulary
  shortlist.npz             that of the run, if it has one

The weights and what is computed with them:

  float32           float32
  bfloat16          bfloat16; the weights are stored in float16
  int8              8-bit weights; activations are quantised to 8 bits as they come, in groups
  int8_calibrated   8-bit weights and activations, whose ranges are measured on validation text (nncf)
"""
import inspect
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterable, NamedTuple

import numpy as np

from tf_nar.data import atomic
from tf_nar.data import shortlist
from tf_nar.export import card
from tf_nar.export import metadata
from tf_nar.export import optional
from tf_nar.export import ov_drafts
from tf_nar.export import ov_graphs
from tf_nar.export import ov_search
from tf_nar.export import ov_words
from tf_nar.export import verify

PROGRAM, SHORTLIST, DRAFTER = "translate.py", "shortlist.npz", "drafter"
OPTIONS = {  # Of OpenVINO's CPU device.
  "float32": {"INFERENCE_PRECISION_HINT": "f32"},
  "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16"},
  "int8": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "{group}"},
  "int8_calibrated": {"INFERENCE_PRECISION_HINT": "f32"},
}
GROUP = 256  # Activations of a group at most; a group has to divide the width, or products are not in 8 bits.
TOLERANCE = 1e-3  # Nats, between the scores of a float32 export and of the run.
LOSS = 0.2  # The greatest difference in BLEU.
CALIBRATING = 300  # Sentences.
FIXED_LENGTHS, NARROW = (12, 16, 24, 32), 256  # Of single sentences, if the net is at most this wide; see `export`.
USE = """\
import sys; sys.path.insert(0, "FOLDER"); import translate
model = translate.Translator("FOLDER")
print(model(["..."])[0])"""
ASK = """\
import json, sys
sys.path.insert(0, sys.argv[1])
import translate
model = translate.Translator(sys.argv[1])
answers = [model.answers(lines) for lines in json.load(sys.stdin)]
assert not {"tf_nar", "tensorflow"} & set(sys.modules), "It imported this project or TensorFlow."
print(json.dumps(answers))
"""


class Validation(NamedTuple):
  """A text on which an export is measured."""

  sources: list  # Strings.
  wanted: list  # The run's translations.
  bleu: Callable  # Maps translations to their `evaluate.bleu.Score`.


def export(run: Any, search: Callable, out: str, weights: str, validation: Validation | None = None, *,
           fixed_lengths: Iterable[int] = (), drafter: tuple = (), **about: str) -> None:
  """Writes the folder, after checking it in another process.

  Args:
    run: a `runs.Run` in float32.
    search: maps int32 [B, S] to a `types.Translation`; `evaluate.corpus.searcher` makes it.
    out: the folder to make; a local path, as OpenVINO reads no other.
    weights: a key of `OPTIONS`.
    validation: a `Validation`; None: no BLEU is measured, and weights are not calibrated.
    fixed_lengths: source lengths in tokens for whose shapes the program compiles the networks, for single sentences,
      which are padded to the next of them.
    drafter: if `run` is of `drafting.by`, the run, search and validation of what drafts, which is exported too.
    **about: `license` and `commit` for the model card, see `card.write`.

  Raises:
    ValueError: for a family or a search that it does not have, or without the text that `weights` needs.
    FileExistsError: if `out` is a file, or a folder that is not empty.
    ImportError: if openvino or nncf is not installed.
    RuntimeError: if the folder translates differently; then nothing is left behind.
  """
  openvino = optional.package("openvino")
  graphs = ov_graphs.build(run)
  if weights == "int8_calibrated" and validation is None:
    raise ValueError("int8_calibrated needs a text to be calibrated on; give --source and --reference.")
  with atomic.folder(out) as folder:
    options = {name: value.format(group=math.gcd(run.experiment.model.net.width, GROUP))
               for name, value in OPTIONS[weights].items()}
    models = {name: converted(graph) for name, graph in graphs.items()}
    facts = metadata.describe(run, ["translate", "candidates"]) | {
      "dtype": weights, "fixed_lengths": sorted(fixed_lengths), "openvino": openvino.__version__,
      "repeatable": np.flatnonzero(run.vocab.repeatable()).tolist(), "vocabulary": len(run.vocab),
      "positions_a_code": 1 << getattr(run.experiment.model, "compress", 0),
      "openvino_options": {"PERFORMANCE_HINT": "LATENCY", **options}}
    run.vocab.save(folder)
    program = _program()
    for module in (program, ov_search, ov_words, ov_drafts, _network()):
      name = PROGRAM if module is program else os.path.basename(module.__file__)
      atomic.write(os.path.join(folder, name), inspect.getsource(module).encode())
    if drafter:
      drafts, its_search, its_validation = drafter
      export(drafts, its_search, os.path.join(folder, DRAFTER), weights, its_validation, fixed_lengths=fixed_lengths,
             **about)
    if run.shortlist:
      shortlist.write(os.path.join(folder, SHORTLIST), shortlist.read(run.shortlist))
    atomic.write(os.path.join(folder, metadata.FILE), json.dumps(facts, indent=2).encode())
    save = lambda model, name: openvino.save_model(
      model, os.path.join(folder, f"{name}.xml"), compress_to_fp16=weights == "bfloat16")
    for name, model in models.items():
      save(model, name)
    if weights.startswith("int8"):
      for name, model in _quantised(models, weights, folder, validation).items():
        save(model, name)
    measured = check(folder, run, search, weights, validation)
    card.write(folder, run, facts, **about, where=metadata.FILE, use=USE, more=measured)


def converted(graph: Any) -> Any:
  """Returns a graph of `ov_graphs.build` as an `openvino.Model`."""
  import openvino
  from openvino import opset13 as ops
  from openvino.frontend.tensorflow import ConversionExtension

  def log_softmax(node):
    x, last = node.get_input(0), np.array([-1])
    over = ops.subtract(x, ops.reduce_max(x, last, True))
    return [ops.subtract(over, ops.log(ops.reduce_sum(ops.exp(over), last, True))).output(0)]

  def inverse(node):
    return [ops.constant(np.linalg.inv(node.get_input(0).get_node().data)).output(0)]

  # OpenVINO 2026.4 moves a transposition before a LogSoftmax without changing the axis, and inverts the matrices of
  # flows to NaN, so that these are wrong there.
  model = openvino.convert_model(graph, extension=[
    ConversionExtension("LogSoftmax", log_softmax), ConversionExtension("MatrixInverse", inverse)])
  for port in model.inputs:  # It leaves TensorFlow's ":0" where a function has arguments that are not given.
    port.get_tensor().set_names({name.removesuffix(":0") for name in port.get_names()})
  return model


def check(folder: str, run: Any, search: Callable, weights: str,
          validation: Validation | None = None) -> dict[str, str]:
  """Compares an export, run by another process, with the live run.

  Args: as for `export`; `folder` is the export.

  Returns:
    {name: value} of what was measured, for the card.

  Raises:
    RuntimeError: if in float32 the translations of `verify.samples` differ; or if BLEU differs by more than `LOSS`.
  """
  texts = verify.samples(run.vocab.source)
  found, translations = ask(folder, [texts, validation.sources if validation else []])
  if weights == "float32":
    ids = verify.encode(texts, run.vocab.source, run.experiment.model.net.max_length)
    wanted = verify.live(run, search, ids)["translate"]
    for text, ours, (theirs, _) in zip(texts, wanted, found, strict=True):
      if not verify.alike(ours, theirs[:1], TOLERANCE):
        raise RuntimeError(f"The export returns {theirs[0]} for {text!r}, the run {ours[0]}: nothing was exported. "
                           "Install the versions in constraints-cpu.txt; if they are installed, report this line.")
  if validation is None:
    return {"BLEU in this type": "not measured"}
  translations = [candidates[0][0] for candidates, _ in translations]
  theirs, ours = validation.bleu(translations), validation.bleu(validation.wanted)
  same = sum(a == b for a, b in zip(translations, validation.wanted, strict=True))
  if abs(theirs.value - ours.value) > LOSS:
    raise RuntimeError(f"BLEU on the validation text is {theirs.value:.2f} in {weights} and {ours.value:.2f} of the "
                       f"run, more than {LOSS} apart: nothing was exported. Choose another type with --weights.")
  return {"BLEU in this type": f"{theirs.value:.2f} on {len(translations)} sentences of validation text, where the run "
                               f"has {ours.value:.2f} in float32 ({ours.signature}); {same} translations are equal"}


def ask(folder: str, questions: list[list[str]]) -> list:
  """Returns the answers of the folder's program, in a process without this package, to lists of lines.

  Raises:
    RuntimeError: with the last line of its errors, if it failed.
  """
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  with tempfile.TemporaryDirectory() as elsewhere:
    done = subprocess.run([sys.executable, "-B", "-c", ASK, os.path.abspath(folder)], input=json.dumps(questions),
                          cwd=elsewhere, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
  if done.returncode:
    last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
    raise RuntimeError(f"The exported model cannot be used by a fresh process: {last[0]}; nothing was exported.")
  return json.loads(done.stdout.splitlines()[-1])


def _quantised(models, weights, folder, validation):
  """Returns the models in 8 bits; `folder` is their float32 export."""
  nncf = optional.package("nncf")
  nncf.set_log_level(logging.ERROR)  # It prints tables.
  if weights == "int8":
    return {name: nncf.compress_weights(model, ignored_scope=nncf.IgnoredScope(names=_biases(model)))
            for name, model in models.items()}
  seen = _seen(folder, validation.sources[:CALIBRATING])
  return {name: nncf.quantize(model, nncf.Dataset(seen[name]), model_type=nncf.ModelType.TRANSFORMER,
                              subset_size=len(seen[name])) for name, model in models.items()}


def _biases(model):
  """Returns the names of a network's operators that look up rows of one number, which nncf cannot compress."""
  return [each.get_friendly_name() for each in model.get_ops()
          if each.get_type_name() == "Gather" and each.input(0).get_partial_shape().rank.get_length() == 1]


def _seen(folder, lines):
  """Returns {name of a network: its inputs}, as it gets them when `folder` translates the lines one by one."""
  translate = _program().Translator(folder)
  translate.fixed = []
  watched = translate.networks = {name: _Watched(network) for name, network in translate.networks.items()}
  for line in lines:
    translate([line])
  return {name: network.seen for name, network in watched.items()}


class _Watched:
  """Does what a network of `ov_program` does, and keeps its inputs."""

  def __init__(self, network):
    self._network, self.seen = network, []

  def __call__(self, **given):
    self.seen.append({name: np.array(given[name]) for name in self._network.names})
    return self._network(**given)


def _network():
  from tf_nar.export import ov_network  # Imported late, as it imports openvino.
  return ov_network


def _program():
  from tf_nar.export import ov_program  # Imported late, as it imports openvino.
  return ov_program
