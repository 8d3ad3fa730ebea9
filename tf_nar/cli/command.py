"""The programs by their names: `tf-nar train`, or `python -m tf_nar train`, where the package is installed."""
import difflib
import importlib
import sys

COMMANDS = {  # Name, of a module here -> what it does.
  "prepare": "parallel text to a data folder: vocabulary, records, manifest",
  "align": "a data folder to the same one with fertilities, for nat_fertility",
  "configs": "lists the configs that come with the package",
  "train": "one model, from a config; goes on where it was stopped",
  "em": "teacher and student by turns, stage by stage; goes on where it was stopped",
  "translate": "files, a pipe, or a prompt; n-best, scores, rescoring by a teacher, traces",
  "score": "log p of given translations, a number a line",
  "evaluate": "BLEU and chrF with signatures, repeats, length ratio; report.json",
  "sweep": "tries options of a search on validation text, and says which are best",
  "report": "several reports to a table and a plot",
  "export": "a run to a SavedModel, strings in, strings out",
  "export_ct2": "an AR run to a CTranslate2 folder",
  "serve": "an exported model over HTTP",
  "load": "load on a server of this machine: p50, p95, p99, sentences/s",
  "latency": "how fast a NAR model is, and the AR models that one could use instead",
  "import_nat_em": "a TensorFlow 1 checkpoint of the original program to a run",
  "bench_train": "speed of training, as a share of the machine's best",
  "check_tpu": "whether a TPU will take an experiment, on a machine that has none",
  "doctor": "what is wrong with this installation, and what mends it",
}
USAGE = """\
tf-nar COMMAND --FLAG=VALUE ...     runs a program
tf-nar COMMAND --help               says what it does and which flags it has
tf-nar --version
"""


def main(argv=None):
  """Runs the program that the arguments name; without one, lists them.

  Args:
    argv: the command and its arguments; those of this process if not given.
  """
  _, *words = argv or sys.argv
  if not words or words[0] in ("--help", "-h", "help"):
    for line in (USAGE, *(f"  {name:14} {what}" for name, what in COMMANDS.items())):
      print(line)
    return
  if words[0] == "--version":
    print(importlib.import_module("tf_nar").__version__)
    return
  name = words[0].replace("-", "_")
  if name not in COMMANDS:
    near = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"Did you mean {near[0]}?" if near else "`tf-nar` alone lists them."
    sys.exit(f"tf-nar: There is no command {words[0]!r}. {hint}")
  module = importlib.import_module(f"tf_nar.cli.{name}")
  if name == "doctor":  # It runs where nothing else does, so without the frame of the others.
    sys.exit(module.main(words[1:], prog="tf-nar doctor"))
  from tf_nar import program
  program.start(module, [f"tf-nar {name}", *words[1:]], as_command=True)
