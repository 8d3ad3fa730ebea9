"""Translates or scores a whole training text by exported models: n-best lists of a teacher, scores of a student.

  python bin/distill.py --saved_model=runs/teacher --data_dir=data/mine --out=runs/em/round_1/candidates
  python bin/distill.py --saved_model=runs/student --data_dir=data/mine --candidates=runs/em/round_1/candidates \\
      --out=runs/em/round_1/scores

n is the number of candidates of the exported search, and the search should be that of EM (nbest, nbest_alpha):

  python bin/export.py --workdir=runs/em/round_1/teacher --out=runs/teacher --set=search.beam=20 \\
      --set=search.candidates=20 --set=search.alpha=0.6

The folders are those of bin/em.py then, byte for byte, so bin/em.py goes on with them: stop it when round_1/teacher is
done, and start it again after this. The same command resumes at the first shard that is missing. This process uses one
device; several divide the shards by --jobs and --job, and need no network.

With Apache Beam (extra `beam`) a cluster does the work, and what follows -- goes to its runner; docs/scale.md describes
what Dataflow needs:

  python bin/distill.py --runner=DirectRunner --saved_model=runs/teacher --data_dir=data/mine ... \\
      -- --direct_num_workers=4 --direct_running_mode=multi_processing ...
"""
import functools

from tf_nar import program

flags = program.Flags()

SAVED_MODEL = flags.DEFINE_string("saved_model", None, "The --out of bin/export.py: a teacher, or with --candidates a "
                                  "student.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "The data folder of the text.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder to write; one that is incomplete is completed.", required=True)
CANDIDATES = flags.DEFINE_string("candidates", "", "A folder of n-best lists to score; empty: they are made.")
QUALITY = flags.DEFINE_string(
  "quality", "", "The SavedModel of the first teacher, whose scores an alternation with `quality` needs too.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens per batch, as that setting of EM.",
                              lower_bound=1)
JOBS = flags.DEFINE_integer("jobs", 1, "Number of processes that share the work.", lower_bound=1)
JOB = flags.DEFINE_integer("job", 0, "Which of them this is, from 0.", lower_bound=0)
RUNNER = flags.DEFINE_string("runner", "", program.RUNNER)


def distill(runner_options: tuple[str, ...] = ()) -> None:
  """Makes the folder given by the flags."""
  from tf_nar.data import engine as engine_lib
  from tf_nar.em import alternate
  from tf_nar.em import distill as distill_lib
  from tf_nar.em import jobs as jobs_lib
  if QUALITY.value and not CANDIDATES.value:
    raise ValueError("--quality scores the lists of --candidates; give that folder, too.")
  jobs = jobs_lib.Jobs(JOB.value, JOBS.value)
  engine = engine_lib.Engine(RUNNER.value, runner_options)
  given = SAVED_MODEL.value, DATA_DIR.value, OUT.value, CANDIDATES.value, QUALITY.value
  if RUNNER.value:
    if JOBS.value > 1:
      raise ValueError(f"--runner={RUNNER.value} divides the work itself; leave out --jobs and --job.")
    engine_lib.check(engine, *filter(None, given))
  if CANDIDATES.value:
    models = {"student": SAVED_MODEL.value} | ({"quality": QUALITY.value} if QUALITY.value else {})
    job = distill_lib.scores(models, DATA_DIR.value, CANDIDATES.value, OUT.value, TOKENS.value)
  else:
    job = distill_lib.nbest(SAVED_MODEL.value, DATA_DIR.value, OUT.value, TOKENS.value)
  distill_lib.begin(job, DATA_DIR.value, OUT.value)

  def work(_):
    if not RUNNER.value:
      return distill_lib.run(job, jobs)
    from tf_nar.em import engine as em_engine  # It imports Apache Beam.
    em_engine.run(job, engine)

  new = alternate.once(OUT.value, work)
  print(f"{OUT.value}: {len(job.files)} shards{'' if new else ', which were done already'}.")


def main(argv: list[str]) -> None:
  argv, options = program.for_runner(argv, RUNNER)
  program.run("distill", functools.partial(distill, options), argv)
