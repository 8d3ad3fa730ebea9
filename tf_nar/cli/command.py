"""Runs a program by its name, `tf-nar train` or `python -m tf_nar train`, if the package is installed."""
import difflib
import importlib
import sys

COMMANDS = {  # {name of the program and of its module here: description}.
  "prepare": "makes a data folder from parallel text: vocabulary, records, manifest",
  "align": "adds fertilities to a data folder, for nat_fertility",
  "shortlist": "makes a shortlist of the vocabulary: the words that each sentence may need",
  "configs": "lists the configs that come with the package",
  "train": "trains one model from a config; resumes if it was stopped",
  "em": "trains teacher and student in turns; resumes if it was stopped",
  "distill": "translates or scores a whole training text by exported models, for em",
  "translate": "translates files, a pipe or a prompt; n-best, scores, rescoring by a teacher, traces",
  "score": "prints log p of given translations, one number per line",
  "evaluate": "measures BLEU, chrF, TER, repeats, length ratio; paired bootstrap; writes report.json",
  "measure": "measures total correlation: what any model with independent tokens loses",
  "sweep": "tries search options on validation text and prints the best",
  "report": "combines several reports into a table and a plot",
  "export": "exports a run to a SavedModel that translates strings",
  "export_ct2": "exports an AR run to a CTranslate2 folder",
  "export_openvino": "exports a run of few passes to an OpenVINO folder",
  "pack": "copies a finished run into a small folder to publish: weights in bfloat16, no checkpoints",
  "serve": "serves an exported model over HTTP",
  "load": "load-tests a server of this machine: p50, p95, p99, sentences/s",
  "latency": "compares the latency of a NAR model with that of AR models",
  "import_nat_em": "imports a TensorFlow 1 checkpoint of the original program as a run",
  "bench_prepare": "measures the speed of preparing text, step by step",
  "bench_train": "measures the speed of training, also relative to the machine's best",
  "check_tpu": "checks on a machine without a TPU whether an experiment will run on one",
  "doctor": "checks this installation and prints how to fix it",
}
USAGE = """\
tf-nar COMMAND --FLAG=VALUE ...     runs a program
tf-nar COMMAND --help               describes it and its flags
tf-nar --version
"""


def main(argv: list[str] | None = None) -> None:
  """Runs the program that the arguments name; without arguments, lists all programs.

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
    hint = f"Did you mean {near[0]}?" if near else "Run `tf-nar` to list all."
    sys.exit(f"tf-nar: There is no command {words[0]!r}. {hint}")
  module = importlib.import_module(f"tf_nar.cli.{name}")
  if name == "doctor":  # It must run where no dependency is installed, so it does not use `program`.
    sys.exit(module.main(words[1:], prog="tf-nar doctor"))
  from tf_nar import program
  program.start(module, [f"tf-nar {name}", *words[1:]], as_command=True)
