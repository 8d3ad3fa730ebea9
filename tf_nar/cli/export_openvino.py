"""Exports a model of few passes to an OpenVINO folder, which needs only openvino, numpy and the tokeniser to translate.

  python bin/export_openvino.py --workdir=runs/nat --out=served/nat
  python bin/export_openvino.py --workdir=runs/nat --out=served/nat_int8 --weights=int8 \\
      --source=data/valid.src --reference=data/valid.tgt

OpenVINO (https://docs.openvino.ai) is a fast inference engine for CPUs. The families are nat_em, glat, ctc, dag,
nat_fertility and cmlm, with all their searches but those that a teacher or a consensus ranks; lanmt, lanmt_score and
flowseq, with latents without noise; latent_codes, with greedy codes; and ar with --draft_with=RUN: its greedy
translations, by checking the drafts of a run of the others. The folder contains the
networks, the vocabulary, metadata.json, README.md, which is the model's card, and translate.py, which shows how to use
them: it translates standard input to standard output. A new process must get the same translations as the run in
float32, else nothing is written. With a validation text its BLEU may differ by at most 0.2 from the run's, in every
type, and is in the card.

With --weights=int8 the weights have 8 bits, and the activations are quantised as they come. With int8_calibrated both
are quantised in advance, by the ranges of the activations on the validation text. With --shortlist the output layer
computes a few tokens for each sentence; then ctc needs search.beam=1. Needs the extra `openvino`:
pip install -c constraints-cpu.txt -e '.[cpu,openvino]'.
"""
from typing import Any

from absl import logging

from tf_nar import program
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run to export.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder to make, which must not exist yet.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.candidates=9; may be repeated.")
WEIGHTS = flags.DEFINE_enum("weights", "float32", ("float32", "bfloat16", "int8", "int8_calibrated"),
                            "The type of weights and computation.")
SOURCE = flags.DEFINE_string("source", "", "Source sentences of a validation text; empty: BLEU is not measured.")
REFERENCE = flags.DEFINE_string("reference", "", "Their translations, as many lines.")
FIXED = flags.DEFINE_list(
  "fixed_lengths", ["auto"], "Source lengths in tokens, EOS included, as 12,16,24: single sentences are padded to the "
  "next one, for which there are networks of fixed shape; each costs memory and time to load. Empty: none; auto: some "
  "if the model is small, as for a large one they do not pay.")
DRAFT_WITH = flags.DEFINE_string("draft_with", "", program.DRAFT_WITH)
SHORTLIST = flags.DEFINE_string("shortlist", "", program.SHORTLIST)
LICENSE = flags.DEFINE_string("license", "", "The licence of the model, for its card, as CC-BY-4.0; empty: not given.")

USE = """\
import sys; sys.path.insert(0, {out!r}); import translate
model = translate.Translator({out!r})
print(model(["..."])[0])"""


def export() -> None:
  """Exports the run given by the flags."""
  import tensorflow as tf

  from tf_nar import translator
  from tf_nar.evaluate import drafting
  from tf_nar.evaluate import report
  from tf_nar.export import ov
  if bool(SOURCE.value) != bool(REFERENCE.value):
    raise ValueError("--source and --reference are the two sides of one text; give both or neither.")
  logging.set_verbosity(logging.WARNING)
  tf.config.set_visible_devices([], "GPU")  # The check compares with numbers that were computed on the CPU.
  settings = [*SET.value, "model.net.dtype=float32"]
  model = translator.Translator(translator.opened(
    WORKDIR.value, settings, draft_with=DRAFT_WITH.value, shortlist=SHORTLIST.value))
  text_of = lambda model: validation(model) if SOURCE.value else None
  drafter = ()
  if DRAFT_WITH.value:
    other = translator.Translator(translator.opened(
      DRAFT_WITH.value, drafting.settings(settings), shortlist=SHORTLIST.value))
    drafter = other.run, other.searcher(), text_of(other)
  fixed = fixed_lengths(model.run.experiment.model.net)
  ov.export(model.run, model.searcher(), OUT.value, WEIGHTS.value, text_of(model),
            fixed_lengths=fixed, drafter=drafter, license=LICENSE.value, commit=report.commit())
  print(USE.format(out=OUT.value))


def fixed_lengths(net: Any) -> list[int]:
  """Returns the numbers of --fixed_lengths for a `transformer.Config`."""
  from tf_nar.export import ov
  longest = net.max_length
  if FIXED.value == ["auto"]:
    return [each for each in ov.FIXED_LENGTHS if each <= longest] if net.width <= ov.NARROW else []
  if not all(each.isdecimal() and 0 < int(each) <= longest for each in FIXED.value):
    raise ValueError(f"--fixed_lengths expects auto, or whole numbers from 1 to {longest}, as 12,16; got "
                     f"{','.join(FIXED.value)}.")
  return [int(each) for each in FIXED.value]


def validation(model: Any) -> Any:
  """Returns the `ov.Validation` of the flags for a `translator.Translator`."""
  from tf_nar.evaluate import lines
  from tf_nar.evaluate import quality
  from tf_nar.export import ov
  sources, references = zip(*lines.paired(text.read(SOURCE.value), text.read(REFERENCE.value)), strict=True)
  against = quality.References(list(references), vocab=model.run.vocab)
  return ov.Validation(list(sources), model.translate(sources), against.bleu)


def main(argv: list[str]) -> None:
  program.run("export_openvino", export, argv, also=(RuntimeError,))
