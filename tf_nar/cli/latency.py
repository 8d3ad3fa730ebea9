"""Compares the latency and throughput of a NAR model with those of AR models, measured in turns in one run.

  python bin/latency.py --workdir=runs/latency --nar=runs/student --ar=runs/teacher --text=test.en
  python bin/latency.py --workdir=runs/latency_base --nar=configs/nat_em_wmt14.py \\
      --ar=configs/ar_wmt14.py --ar=configs/ar_wmt14_shallow.py --words=25 --vocab=32000

Runs are exported into the work directory in every variant that is compared: the NAR model in float32 and bfloat16, in
bfloat16 also with 9 length candidates that the first AR model ranks, and, if openvino is installed, as an OpenVINO
folder in float32, bfloat16 and int8; each AR model with --beams, as a SavedModel and, if ctranslate2 is
installed, in CTranslate2 in float32 and int8, and with --draft_with=RUN also with greedy search by checking that run's
drafts, the same translations in fewer passes. With --shortlist each NAR export of one length is measured without and
with it, and the gain is printed. Folders that are already exported, such as those of a search
with other settings or of the other mode of a janus, are added with --system=NAME=FOLDER[,beam=N]; variants of --nar and
--ar that exist in the work directory are not exported again.

A config in place of a run means random weights of that shape, with the predicted lengths set so that every translation
is as long as its source (tf_nar/latency/untrained.py). On a processor without bfloat16: CONFIG,model.net.dtype=float32.

Each system runs in its own process, with the same number of threads, and all translate the same sentences in turns.
Time is measured from strings to strings, so tokenisation counts: inside the graph of a SavedModel, in Python for
CTranslate2 and OpenVINO, by the program in the folder. Reported are milliseconds per sentence at batch 1 (p50, p95) and
sentences per second in batches, both also as ratios to --baseline; milliseconds by source length; peak memory; and a
lower bound for this machine, from its fastest matrix product and its memory bandwidth, measured between the rounds.
latency.json has all results and every single time; latency.png plots latency against length and throughput against
batch size. With --reference=FILE every system also translates the whole --text, so that BLEU and chrF stand beside its
times. bin/report.py --latency=FOLDER/latency.json makes the table and the plot of BLEU against time.
"""
import datetime
import importlib.util
import json
import os
import platform
import re
from typing import Any, Sequence

from tf_nar import config
from tf_nar import program
from tf_nar.data import atomic
from tf_nar.data import lock

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The folder for exported systems and results.", required=True)
NAR = flags.DEFINE_multi_string(
    "nar", [], "A NAR run, or a config for random weights, then with a length head, maybe with settings, as "
    "CONFIG,model.net.encoder_layers=12; may be repeated.")
AR = flags.DEFINE_multi_string(
    "ar", [], "An AR run, or a config for random weights, with settings as in --nar; may be repeated.")
DRAFT_WITH = flags.DEFINE_string(
    "draft_with", "", "A NAR run that drafts the greedy translations of each --ar, systems of their own; it may have "
    "settings: RUN,search.beam=1. Not for random weights, as no draft agrees with them.")
SHORTLIST = flags.DEFINE_string(
    "shortlist", "", "A file of data_prep/shortlist.py: each system of --nar is measured with it too. For configs: the "
    "number of tokens, drawn at random, for a sentence of --words words, as 1000.")
ONLY = flags.DEFINE_string("only", "", "A regular expression of the exports to measure, as 'int8|beam 5$'; empty: all.")
BEAMS = flags.DEFINE_list("beams", ["1", "5"], "Beams of each AR model.")
SYSTEM = flags.DEFINE_multi_string("system", [], "An exported system, NAME=FOLDER[,beam=N]; may be repeated.")
BASELINE = flags.DEFINE_string("baseline", "", "The system that ratios refer to; empty: AR with the last of --beams.")
TEXT = flags.DEFINE_string("text", "", "Sentences, one per line, tokenised if the vocabulary is of tokenised text.")
REFERENCE = flags.DEFINE_string(
    "reference", "", "References of --text, line by line: BLEU and chrF of every system are measured too, in the end.")
WORDS = flags.DEFINE_integer("words", 25, "Words per made-up sentence, for configs.", lower_bound=1)
VOCAB = flags.DEFINE_integer("vocab", 32_000, "Size of the made-up vocabulary, for configs.", lower_bound=10)
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds that are measured, after one more to warm up.", lower_bound=1)
SENTENCES = flags.DEFINE_integer("sentences", 20, "Sentences translated one by one in each round.", lower_bound=2)
BATCHES = flags.DEFINE_list("batches", ["8", "32", "128"], "Batch sizes, in sentences.")
LENGTHS = flags.DEFINE_list("lengths", ["5", "10", "20", "40", "60"], "Source lengths in words, for the plot.")
EACH = flags.DEFINE_integer("sentences_a_length", 3, "Sentences of each such length in each round.", lower_bound=2)
THREADS = flags.DEFINE_integer("threads", None, "Threads of every system; default: one per core.", lower_bound=1)

EXTRAS = {"CTranslate2": "ct2", "OpenVINO": "openvino"}  # Of setup.py.
BUSY = 0.5  # System load average (number of runnable processes) above which the machine counts as busy.
# Prefixes of environment variables that affect speed.
SEEN = "OMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "XLA_", "TF_ENABLE_", "TF_ONEDNN_", "TF_XLA_", "CT2_"


def threads() -> int:
  """Returns the number of threads of every system."""
  from tf_nar.train import speed
  return THREADS.value or speed.cores()


def numbers(flag: Any) -> list[int]:
  try:
    return [int(number) for number in flag.value]
  except ValueError:
    raise ValueError(f"--{flag.name} expects whole numbers, as 8,32,128; got {','.join(flag.value)}.") from None


def texts_and_runs() -> tuple:
  """Returns (the sentences, the NAR runs, the AR runs, the shortlist or "", a description of the weights)."""
  from tf_nar import pretrained
  from tf_nar.latency import texts as texts_lib
  wanted = [path for path in (*NAR.value, *AR.value, DRAFT_WITH.value.split(",")[0]) if path]
  configs = [path for path in wanted if is_config(path)]
  size = {"count": max(SENTENCES.value * ROUNDS.value, *numbers(BATCHES)), "lengths": numbers(LENGTHS),
          "each": EACH.value}
  if REFERENCE.value and not TEXT.value:
    raise ValueError("--reference is of the sentences of --text; give --text too.")
  if SHORTLIST.value and not NAR.value:
    raise ValueError("--shortlist is of the NAR run; give --nar too.")
  if not configs:
    if not TEXT.value:
      raise ValueError("Expected --text with sentences to translate; only configs have made-up ones.")
    nars, ars = ([pretrained.find(run) for run in each] for each in (NAR.value, AR.value))
    return texts_lib.of_file(TEXT.value, **size), nars, ars, SHORTLIST.value, "of the runs"
  if DRAFT_WITH.value:
    raise ValueError("Translations of random weights agree with no draft; leave out --draft_with, or give runs.")
  if len(configs) < len(wanted) or TEXT.value or SYSTEM.value:
    raise ValueError("Random weights have a made-up vocabulary: give configs only, or runs and exported systems with "
                     "--text.")
  vocab = texts_lib.vocabulary(VOCAB.value)
  short = made_up_shortlist(vocab) if SHORTLIST.value else ""
  texts = texts_lib.made_up(vocab, words=WORDS.value, **size)
  lines = [*texts.lines, *(line for found in texts.by_length.values() for line in found)]
  made = [made_up_run(path, vocab, lines) for path in configs]
  weights = "random, lengths planted: each as long as its source"
  return texts, made[:len(NAR.value)], made[len(NAR.value):], short, weights


def is_config(path: str) -> bool:
  """Returns whether a value of --nar or --ar is a config, with or without settings, and not a run."""
  file = path.partition(",")[0]
  return file.endswith(".py") or (file in config.named() and not os.path.isdir(path))


def made_up_run(path: str, vocab: Any, lines: Sequence[str]) -> str:
  """Returns the run folder of a config with random weights, in the name of which are settings, words and vocabulary."""
  import tensorflow as tf

  from tf_nar import runs
  from tf_nar.latency import untrained
  file, *settings = path.split(",")
  name = "_".join([os.path.splitext(os.path.basename(file))[0], *settings, str(VOCAB.value), str(WORDS.value)])
  workdir = os.path.join(WORKDIR.value, "runs", name)
  if not tf.io.gfile.exists(os.path.join(workdir, runs.WEIGHTS)):
    untrained.make(file, vocab, lines, workdir, settings)
  return workdir


def made_up_shortlist(vocab: Any) -> str:
  """Returns the file of a shortlist of random tokens, as many as --shortlist says."""
  from tf_nar.latency import untrained
  if not SHORTLIST.value.isdecimal():
    raise ValueError("--shortlist expects a number of tokens for random weights, as 1000; got "
                     f"{SHORTLIST.value}.")
  path = os.path.join(WORKDIR.value, "runs", f"shortlist_{SHORTLIST.value}_{WORDS.value}.npz")
  untrained.shortlist(vocab, int(SHORTLIST.value), WORDS.value, path)
  return path


def machine() -> dict[str, Any]:
  """Returns the facts about the machine that are needed to interpret a speed."""
  import tensorflow as tf

  from tf_nar.latency import bench
  from tf_nar.train import speed
  model = "unknown"
  if os.path.exists("/proc/cpuinfo"):
    with open("/proc/cpuinfo") as file:
      model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), model)
  environment = (bench.ENVIRONMENT | os.environ).items()
  return {"processor": model, "cores": speed.cores(), "threads": threads(), "system": platform.platform(),
          "python": platform.python_version(), "load before": round(os.getloadavg()[0], 2),
          "accelerators": [device.name for device in tf.config.list_physical_devices() if device.device_type != "CPU"],
          "environment": {name: value for name, value in environment if name.startswith(SEEN)}}


def compared(nars: Sequence[str], ars: Sequence[str], shortlist: str = "") -> tuple[list, str]:
  """Returns the systems, exported, and the name of the baseline."""
  from tf_nar import runs
  from tf_nar import translator
  from tf_nar.evaluate import drafting
  from tf_nar.export import ov_graphs
  from tf_nar.latency import systems as systems_lib
  try:
    only = re.compile(ONLY.value)
  except re.error as problem:
    raise ValueError(f"--only is no regular expression, as int8|beam is; got '{ONLY.value}': {problem}.") from None
  drafter, *settings = DRAFT_WITH.value.split(",")
  for run in ars if drafter else ():  # Refuses what cannot be, before anything is exported.
    translator.opened(run, [drafting.PREFIX + each for each in settings], draft_with=drafter)
  for run in nars if shortlist else ():
    translator.opened(run, shortlist=shortlist)
  has = {name: importlib.util.find_spec(name.lower()) is not None for name in ("CTranslate2", "OpenVINO")}
  for name in (name for name, there in has.items() if not there):
    print(f"{name} is not installed (extra {EXTRAS[name]}), so it is left out.")
  exported = {run: (run,) for run in nars} | ({DRAFT_WITH.value: (drafter, settings)} if drafter else {})
  lacks = {run: ov_graphs.lacks(runs.load(*opened)) for run, opened in exported.items() if has["OpenVINO"]}
  for run, why in lacks.items():
    if why:
      print(f"{run} is left out of OpenVINO: {why}")
  systems = systems_lib.standard(
    nars, ars, os.path.join(WORKDIR.value, "systems"), with_ct2=has["CTranslate2"],
    openvino=[run for run, why in lacks.items() if not why], drafter=DRAFT_WITH.value, shortlist=shortlist,
    beams=numbers(BEAMS))
  systems = [*(each for each in systems if only.search(each.name)), *map(systems_lib.given, SYSTEM.value)]
  names = [system.name for system in systems]
  twice = sorted({name for name in names if names.count(name) > 1})
  if not systems or twice:
    raise ValueError(f"Two systems are called {twice[0]!r}; give one another name." if twice
                     else "Nothing to compare: give --nar and --ar, or --system=NAME=FOLDER.")
  of_ar = [name for name in names if name.startswith("AR ")]
  widest = [name for name in of_ar if name.endswith(f", beam {BEAMS.value[-1]}")]
  baseline = BASELINE.value or [*widest, *of_ar, *names][0]
  if baseline not in names:
    raise ValueError(f"--baseline={baseline} is not one of the systems: {'; '.join(names)}.")
  for system in systems:
    print(f"{'' if os.path.exists(system.folder) else 'exporting '}{system.name}: {system.folder}", flush=True)
    systems_lib.prepare(system)
  return systems, baseline


def pairs() -> list[tuple[str, str]]:
  """Returns the sentences of --text with their references; [] without --reference."""
  from tf_nar.data import text
  from tf_nar.evaluate import lines
  return list(lines.paired(text.read(TEXT.value), text.read(REFERENCE.value))) if REFERENCE.value else []


def measure() -> dict[str, Any]:
  """Returns all results, as they are written to JSON."""
  from tf_nar import runs
  from tf_nar.data import vocab as vocab_lib
  from tf_nar.latency import bench
  from tf_nar.latency import floor
  from tf_nar.latency import summary
  from tf_nar.latency import systems as systems_lib
  told = {"when": datetime.datetime.now().isoformat(timespec="seconds"), "machine": machine()}
  texts, nars, ars, shortlist, weights = texts_and_runs()
  whole = pairs()
  systems, baseline = compared(nars, ars, shortlist)
  known = [*nars, *ars][:1]
  beside = floor.Machine(runs.load(known[0]).experiment.model.net).rates if known else dict
  workers = []
  try:
    for system in systems:
      workers.append(bench.Worker(system, threads()))
    rates, answers = bench.rounds(
      workers, texts, ROUNDS.value, sentences=SENTENCES.value, batches=numbers(BATCHES),
      beside=beside, told=lambda text: print(text, flush=True))
    vocab = vocab_lib.load(known[0]) if known else None
    scores = list(bench.qualities(workers, whole, vocab)) if whole else [{}] * len(workers)
  finally:
    for worker in workers:
      worker.close()
  own = lambda name: [answer for answer in answers if answer["system"] == name]
  found = {system.name: summary.of_system(own(system.name), numbers(BATCHES), list(texts.by_length))
           for system in systems}
  found = summary.with_ratios(found, baseline)
  for worker, score in zip(workers, scores, strict=True):
    system = worker.system
    found[system.name] |= {"kind": system.kind, "folder": system.folder, "run": system.run,
                           "disk MB": systems_lib.megabytes(system.folder), **worker.facts, **score}
  told |= {"weights": weights, "text": TEXT.value or f"made up, {WORDS.value} words", "rounds": ROUNDS.value,
           "sentences a round": SENTENCES.value, "baseline": baseline, "systems": found, "rates": rates}
  if nars:
    source = round(sum(len(line.split()) for line in texts.lines) / len(texts.lines))
    target = round(found[systems[0].name]["words out"]) if TEXT.value else source
    # The 1 is EOS. Words are counted here; as there are more tokens than words, the bound is rather too low.
    bounds = {run: floor.one_pass(run, source + 1, target + 1, rates) for run in nars}
    bound = lambda system: not system.most and bounds.get(system.run, {}).get(found[system.name]["dtype"])
    told["floor"] = {system.name: bound(system) for system in systems if bound(system)}
  return told | {"answers": answers}


def show(told: dict[str, Any]) -> None:
  """Prints the results."""
  from tf_nar.latency import summary
  from tf_nar.latency import systems as systems_lib
  for name, value in told["machine"].items():
    print(f"{name:16}{value}")
  print(f"{'weights':16}{told['weights']}\n{'text':16}{told['text']}; tokenisation counts\n")
  print(summary.table(told["systems"], told["baseline"]))
  if gains := summary.gains(told["systems"], systems_lib.SHORT):
    print(f"\n{gains}")
  for name, of in told.get("floor", {}).items():
    took = told["systems"][name]["p50 ms"]
    print(f"\nlower bound of {name} at batch 1: {of['floor, ms']:.1f} ms (computing {of['computing, ms']:.1f}, "
          f"reading {of['reading, ms']:.1f}); measured: {took / of['floor, ms']:.2f} times as long")
  if told["machine"]["load before"] > BUSY:
    print(f"\nThe machine was busy before this began (load {told['machine']['load before']}); repeat it when idle.")


def compare() -> None:
  """Measures, prints, and writes numbers and plot."""
  import tensorflow as tf

  from tf_nar.latency import summary
  tf.config.threading.set_intra_op_parallelism_threads(threads())
  tf.io.gfile.makedirs(WORKDIR.value)
  with lock.held(WORKDIR.value):
    told = measure()
    show(told)
    atomic.write(os.path.join(WORKDIR.value, "latency.json"), json.dumps(told, indent=1).encode())
    summary.plot(told["systems"], os.path.join(WORKDIR.value, "latency.png"))


def main(argv: list[str]) -> None:
  program.run("latency", compare, argv)
