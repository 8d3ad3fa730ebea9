"""Checks on a machine without a TPU whether an experiment will run on one.

  python bin/check_tpu.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de
  python bin/check_tpu.py --config=configs/em_wmt14.py --vocab=32000 --nocompile     both models, not compiled
  python bin/check_tpu.py --config=configs/ctc_multi30k.py --quick --compile_for=v5e,v6e \\
      --jax_python=~/tpu_check/bin/python

For every batch shape, the graphs of the training step, the search, the scorer and the losses of validation, and for
bin/em.py the teacher's search of candidates, are traced and searched for unknown shapes, operators that a TPU does not
support, and float64. They are then compiled by XLA, through the same TensorFlow bridge as for a TPU. The compiled step
must return the same values as the uncompiled one, and an epoch must compile exactly one program per shape.

--compile_for also runs the TPU's own compiler, which needs no TPU, and prints the memory, the operations and the
roofline time of each graph. A loop of unknown length, as over the passes of a search or the positions whose loss
counts, is counted as one pass.
That compiler comes with jax, in a separate environment:

  python -m venv ~/tpu_check; ~/tpu_check/bin/pip install '.[tpu_check]'

Prints one line per problem and exits with 1 if there is any. On a real TPU, first run `python bin/doctor.py --tpu`.
"""
import dataclasses
import os
import sys
from typing import Any, Callable

from tf_nar import config as config_lib
from tf_nar import program
from tf_nar.export import tpu_compile

flags = program.Flags()

CONFIG = flags.DEFINE_multi_string(
    "config", None, "A file that defines get_config(), for bin/train.py or bin/em.py." + program.MORE_CONFIGS,
    required=True)
DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "A data folder of data_prep/prepare.py, for its sentence lengths and vocabulary size.")
VOCAB = flags.DEFINE_integer("vocab", 32_000, "Vocabulary size without --data_dir; lengths are then made up.",
                             lower_bound=8)
QUICK = flags.DEFINE_bool("quick", False, "Checks the smallest batch shape only.")
COMPILE = flags.DEFINE_bool("compile", True, "Whether to compile for the CPU and run; minutes for a large model.")
COMPILE_FOR = flags.DEFINE_list("compile_for", [], f"TPUs to compile for: {', '.join(tpu_compile.CHIPS)}.")
JAX_PYTHON = flags.DEFINE_string("jax_python", sys.executable, "A Python interpreter with jax and libtpu.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as train.buckets=3; may be repeated.")
INFERENCE = "translate", "score", "validate", "candidates"  # Graphs that `epoch` does not compile.


def load() -> list[tuple[str, config_lib.Experiment, tuple | None]]:
  """Returns [(name, experiment, (search of candidates, its tokens per batch) or None)] of all phases.

  An alternation has a teacher and a student, of whose phases the teacher's last one finds candidates.
  """
  from tf_nar import recipe
  from tf_nar.em import config as em_config
  made = config_lib.load(CONFIG.value, object, SET.value, DATA_DIR.value or None)
  phases = lambda each: [(f"{one.family}, phase {phase.name}" if each.phases else one.family, one, None)
                         for phase, one in recipe.trainings(each)]
  if isinstance(made, em_config.Alternation):
    *before, (name, last, _) = phases(made.teacher)
    wide = em_config.nbest_search(made, last.search), made.tokens_per_batch
    later = [(f"{name}, from round 2", one, None) for part in ("teacher", "student") if getattr(made, f"later_{part}")
             for name, one, _ in phases(em_config.later(made, part)) if made.rounds > 1]
    return [*before, (name, last, wide), *phases(made.student), *later]
  if isinstance(made, config_lib.Experiment):
    return phases(made)
  raise ValueError(f"{CONFIG.value[0]} must return an Experiment or an Alternation; got {type(made).__name__}.")


def check(name: str, experiment: config_lib.Experiment, wide: tuple | None, histogram: dict[int, int] | None,
          sizes: dict[str, int]) -> list[str]:
  """Checks an experiment, and its search of candidates if there is one; prints the progress and returns findings.

  `sizes` are arguments of `models.build`.
  """
  from tf_nar import models
  from tf_nar import runs
  from tf_nar.export import tpu
  runs.check(experiment)
  train = experiment.train
  shapes = tpu.shapes(train, experiment.model.net.max_length, histogram)[:1 if QUICK.value else None]
  model = models.build(experiment.family, experiment.model, **sizes)
  compiled, plain = updates(model, train)
  kind, smallest = model.traits.batch(model.config), min(size for size in sizes.values() if size)
  print(f"{name}: {sum(v.shape.num_elements() for v in model.variables) / 1e6:.1f} M weights, batches of "
        + ", ".join(f"{rows} x {length}" for rows, length in shapes))
  findings = []
  for shape in shapes:
    graphs = tpu.programs_of_model(model, experiment.search, shape) + tpu.programs_of_update(compiled, shape, kind)
    if wide:
      search, tokens = wide
      graphs.append(tpu.program_of_search("candidates", model, search, (max(1, tokens // shape[1]), shape[1])))
    for graph in graphs:
      wrong, hlo = examined(graph)
      findings += wrong + (for_tpu(graph.name, hlo) if hlo and COMPILE_FOR.value else [])
  if COMPILE.value and not findings:
    findings += epoch(model, compiled, plain, train, [tpu.batch(shape, smallest, kind) for shape in shapes])
  return findings


def updates(model: Any, train: config_lib.Train) -> list:
  """Returns the training step compiled as for a TPU, with a graph per shape, and the uncompiled one for all shapes."""
  from tf_nar.train import ema
  from tf_nar.train import optimizer
  from tf_nar.train import step
  adam = optimizer.Adam.of(train.optimizer, model, train.steps)
  averages = ema.Ema(train.ema, model.trainable_variables) if train.ema else None
  return [step.Update(model, adam, dataclasses.replace(train, jit=jit), averages) for jit in (True, False)]


def examined(program: Any) -> tuple[list[str], bytes]:
  """Examines a program and prints one line; returns its findings and its HLO."""
  from tf_nar.export import tpu
  seen = tpu.examine(program, COMPILE.value and program.name.startswith(INFERENCE))
  took = "" if seen.compiled is None else f", compiled in {seen.compiled:.0f} s"
  state = "FAIL" if seen.findings else "ok"
  print(f"  {state:5} {program.name:22} {seen.operators:7,} operators, traced in {seen.traced:.0f} s{took}", flush=True)
  return seen.findings, seen.hlo


def for_tpu(name: str, hlo: bytes) -> list[str]:
  """Compiles a step by the TPU's compiler, prints its estimates and returns the findings."""
  findings = []
  for kind, found in tpu_compile.compile_for(COMPILE_FOR.value, hlo, os.path.expanduser(JAX_PYTHON.value)).items():
    chip = tpu_compile.CHIPS[kind]
    if isinstance(found, str):
      findings.append(f"{name}: the compiler for {kind} rejects it: {found}")
      continue
    print(f"        {kind}: compiled in {found.seconds:.0f} s; {found.memory / 1e9:.2f} GB of "
          f"{chip.memory * 4 / found.devices / 1e9:.0f} GB HBM, {found.flops / 1e9:,.1f} GFLOP, roofline "
          f"{1e3 * found.roofline(chip):.2f} ms", flush=True)
    if not found.fits(chip):
      findings.append(f"{name}: {kind} has too little memory; lower train.tokens_per_batch")
  return findings


def epoch(model: Any, compiled: Callable, plain: Callable, train: config_lib.Train, batches: list) -> list[str]:
  """Runs the training step compiled and uncompiled, and returns the findings."""
  from tf_nar.export import tpu
  accumulate, back = train.optimizer.accumulate, tpu.weights(model)
  seen = tpu.epoch(compiled, batches, accumulate, len(batches))
  back()
  print("  the step compiled in " + ", ".join(
    f"{seconds:.0f} s ({rows} x {length})" for (rows, length), seconds in seen.compiled.items()), flush=True)
  return seen.findings + tpu.differing(seen.predictions, plain([batches[0]] * accumulate, 0), model.config.net.dtype)


def check_all() -> int:
  """Checks the experiments given by the flags; returns the exit status."""
  from tf_nar.data import corpus
  from tf_nar.data import vocab as vocab_lib
  tpu_compile.check(COMPILE_FOR.value, os.path.expanduser(JAX_PYTHON.value))
  experiments = load()
  histogram, sizes = None, {"vocab": VOCAB.value}
  if DATA_DIR.value:
    histogram, vocab = corpus.read(DATA_DIR.value).splits["train"].lengths, vocab_lib.load(DATA_DIR.value)
    sizes = {"vocab": len(vocab), "source_vocab": vocab.source_size}
  findings = [f"{name}: {each}" for name, one, wide in experiments for each in check(name, one, wide, histogram, sizes)]
  for finding in findings:
    print(finding, file=sys.stderr)
  if not findings:
    print("No problem was found.")
  return 1 if findings else 0


def main(argv: list[str]) -> None:
  program.run("check_tpu", check_all, argv)
