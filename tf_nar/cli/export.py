"""Makes of a run one SavedModel that translates raw strings and needs nothing of this project.

  python bin/export.py --workdir=runs/nat --out=runs/nat/saved_model
  python bin/export.py --workdir=runs/nat --out=served/1 --set=search.candidates=9 --rescore_with=runs/ar
  python bin/export.py --workdir=runs/nat --out=served/2 --weights=bfloat16

Signatures: `translate` (strings), `candidates` (the n best of a search that keeps several), `translate_ids` (token
ids), `score` (log p of given translations) and, for a search of several passes, `trace`. A fresh process loads what
was exported and must say with it what the run says, else nothing is written. If the vocabulary is of tokenised text,
the strings must be so too. assets.extra/metadata.json says what the model is; the requests beside it warm TensorFlow
Serving up.

The weights are those that the run ships: of the last or best checkpoints averaged (train.average), or their moving
average (train.ema). With --weights=bfloat16 they are rounded and the network computes in bfloat16: half the file, and
on a processor with AMX about half the time; on one without bfloat16, many times the time.

On a CPU set TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1 where the model is served: weights are brought into the kernels' order
once and not at each call. In that process no weight may change. And with --shards=2 two cores take half of every
sub-layer each, where one product would be too small to share: best with one intra-op thread and two inter-op threads.
"""
from absl import logging

from tf_nar import program

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run to export.", required=True)
OUT = flags.DEFINE_string("out", None, "The SavedModel's folder, which must not be there yet.", required=True)
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
WEIGHTS = flags.DEFINE_enum("weights", "float32", ("float32", "bfloat16"), "What weights are kept and computed in.")
SHARDS = flags.DEFINE_integer("shards", 1, "Pieces of every sub-layer, which run beside each other on a CPU's cores.",
                             lower_bound=1)
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", "A run, as the AR teacher, that ranks the candidates.")

USE = """\
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load({out!r})
print(model.translate(tf.constant(["..."]))["translation"].numpy()[0].decode())"""


def export():
  """Exports the flags' run."""
  import tensorflow as tf

  from tf_nar import runs
  from tf_nar.evaluate import corpus
  from tf_nar.evaluate import rescoring
  from tf_nar.evaluate import tracing
  from tf_nar.export import saved_model
  logging.set_verbosity(logging.WARNING)  # TensorFlow tells much of what it saves.
  tf.config.set_visible_devices([], "GPU")  # The check compares numbers, which are those of the CPU.
  net = [f"model.net.dtype={WEIGHTS.value}", f"model.net.shards={SHARDS.value}"]
  run = runs.load(WORKDIR.value, [*SET.value, *net])
  teacher = runs.load(RESCORE_WITH.value, net) if RESCORE_WITH.value else None
  parts = run.model, run.experiment.search, teacher and rescoring.by(teacher, run, run.experiment.search)
  trace = tracing.searcher(*parts) if "trace" in run.model.traits.offers else None
  saved_model.export(run, corpus.searcher(*parts), OUT.value, teacher, trace)
  print(USE.format(out=OUT.value))


def main(argv):
  program.run("export", export, argv, also=(RuntimeError,))
