"""Exports a run to a SavedModel that translates strings and does not need this project.

  python bin/export.py --workdir=runs/nat --out=runs/nat/saved_model
  python bin/export.py --workdir=runs/nat --out=served/1 --set=search.candidates=9 --rescore_with=runs/ar
  python bin/export.py --workdir=runs/ar --out=served/3 --draft_with=runs/nat
  python bin/export.py --workdir=runs/nat --out=served/2 --weights=bfloat16

Signatures: `translate` (strings), `candidates` (the n best of a search that keeps several), `score` (log p of given
translations), the same of token ids (`translate_ids`, `candidates_ids`, `score_ids`; bin/distill.py applies them to
a whole corpus) and, for a search of several decoder passes, `trace`. A new process loads
the export and must get the same translations and scores as the run, else nothing is written. If the vocabulary is of
tokenised text, the strings must be tokenised too. README.md is the model's card, with the scores of WORKDIR/report.json
if bin/evaluate.py has written it. assets.extra/metadata.json describes the model to programs; the requests next to it
warm up TensorFlow Serving.

The weights are the final ones of the run: the average of the last or best checkpoints (train.average), or the moving
average (train.ema). With --weights=bfloat16 they are rounded and the network computes in bfloat16: half the file, and
on a processor with AMX about half the time; on one without bfloat16, many times the time.

When serving on a CPU, set TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1: weights are then reordered for the kernels once and not in
each call, and no weight may change in that process. With --shards=2, each of two cores computes half of every
sub-layer, which helps if its matrix products are too small to split: best with one intra-op and two inter-op threads.
"""
from absl import logging

from tf_nar import program

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run to export.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder of the SavedModel, which must not exist yet.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
WEIGHTS = flags.DEFINE_enum("weights", "float32", ("float32", "bfloat16"), "The type of weights and computation.")
SHARDS = flags.DEFINE_integer("shards", 1, "Pieces that every sub-layer is cut into, one for each CPU core.",
                             lower_bound=1)
LICENSE = flags.DEFINE_string("license", "", "The licence of the model, for its card, as CC-BY-4.0; empty: not given.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", program.RESCORE_WITH)
COPY_UNKNOWN = flags.DEFINE_bool("copy_unknown", False, program.COPY_UNKNOWN)
DRAFT_WITH = flags.DEFINE_string("draft_with", "", program.DRAFT_WITH)
SHORTLIST = flags.DEFINE_string("shortlist", "", program.SHORTLIST)

USE = """\
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load({out!r})
print(model.translate(tf.constant(["..."]))["translation"].numpy()[0].decode())"""


def export() -> None:
  """Exports the run given by the flags."""
  import tensorflow as tf

  from tf_nar import translator
  from tf_nar.evaluate import report
  from tf_nar.export import saved_model
  logging.set_verbosity(logging.WARNING)  # TensorFlow logs many lines while it saves.
  tf.config.set_visible_devices([], "GPU")  # The check compares with numbers that were computed on the CPU.
  net = [f"model.net.dtype={WEIGHTS.value}", f"model.net.shards={SHARDS.value}"]
  settings = [*SET.value, *net, *[translator.UNKNOWN] * COPY_UNKNOWN.value]
  run = translator.opened(WORKDIR.value, settings, draft_with=DRAFT_WITH.value, shortlist=SHORTLIST.value)
  teacher = translator.opened(RESCORE_WITH.value, net) if RESCORE_WITH.value else None
  model = translator.Translator(run, teacher, copy_unknown=COPY_UNKNOWN.value)
  saved_model.export(run, model.searcher(), OUT.value, teacher, model.tracer(), model.copier, license=LICENSE.value,
                     commit=report.commit())
  print(USE.format(out=OUT.value))


def main(argv: list[str]) -> None:
  program.run("export", export, argv, also=(RuntimeError,))
