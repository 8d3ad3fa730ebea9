"""Serves an exported model over HTTP: a JSON API, and a page to try it in a browser.

  python bin/serve.py --model=runs/nat/saved_model
  python bin/serve.py --model=served/nat_int8
  python bin/serve.py --workdir=runs/ar --draft_with=runs/nat
  python bin/serve.py --model=runs/nat/saved_model --host=0.0.0.0 --port=80 --max_batch=64 --max_wait_ms=5
  curl http://127.0.0.1:8000/translate -H 'Content-Type: application/json' -d '{"text": "a low house"}'

Serves /translate, and /candidates, /trace and /score if the model has these signatures; /health answers 200 once the
model is warmed up, /metrics is for Prometheus, / is the page. Sentences of different requests are batched. On SIGTERM
it accepts no new requests, answers those it has, and exits with 0. See docs/serving.md.
"""
import os
import signal
import socket
from typing import Any

from tf_nar import program

flags = program.Flags()

MODEL = flags.DEFINE_string(
    "model", None, "A SavedModel, the --out of bin/export.py; or that of bin/export_openvino.py.", required=True)
WORKDIR = flags.DEFINE_string(
    "workdir", "", "A run folder to serve without an export; it needs the whole project.", spares=("model",))
SET = flags.DEFINE_multi_string("set", [], "Overrides of that run, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", program.RESCORE_WITH)
DRAFT_WITH = flags.DEFINE_string("draft_with", "", program.DRAFT_WITH)
SHORTLIST = flags.DEFINE_string("shortlist", "", program.SHORTLIST)
LANGUAGES = flags.DEFINE_string(
    "languages", "", "Source and target language, as en,de, which the page names; empty: those of the metadata.")
HOST = flags.DEFINE_string("host", "127.0.0.1", "The address to listen at; 0.0.0.0: all addresses of this machine.")
PORT = flags.DEFINE_integer("port", 8000, "The port to listen at; 0: a free one.", lower_bound=0, upper_bound=65535)
MAX_BATCH = flags.DEFINE_integer("max_batch", 32, "Most sentences of a batch.", lower_bound=1)
MAX_BATCH_CHARACTERS = flags.DEFINE_integer(
    "max_batch_characters", 8000, "Most characters of a batch, padding included, which limits memory.", lower_bound=1)
MAX_WAIT_MS = flags.DEFINE_float(
    "max_wait_ms", 2.0, "Milliseconds that a sentence may wait for others to join its batch.", lower_bound=0)
MAX_QUEUE = flags.DEFINE_integer("max_queue", 1024, "Most sentences that wait; above, requests are rejected (503).",
                                 lower_bound=1)
TIMEOUT_S = flags.DEFINE_float("timeout_s", 30.0, "Seconds that a request may take (504).", lower_bound=0.01)
MAX_LINES = flags.DEFINE_integer("max_lines", 256, "Most sentences of a request (413).", lower_bound=1)
MAX_CHARACTERS = flags.DEFINE_integer("max_characters", 2000, "Most characters of a sentence (413).", lower_bound=1)
MAX_BODY = flags.DEFINE_integer("max_body", 1 << 20, "Most bytes of a request (413).", lower_bound=1)


def opened() -> Any:
  """Returns the `loaded.Model` of --model or --workdir."""
  from tf_nar.serve import loaded
  from tf_nar.serve import loaded_openvino
  if WORKDIR.value:
    from tf_nar import translator
    from tf_nar.export import metadata
    from tf_nar.export import saved_model
    model = translator.load(WORKDIR.value, *SET.value, rescore_with=RESCORE_WITH.value, draft_with=DRAFT_WITH.value,
                            shortlist=SHORTLIST.value)
    module, signatures = saved_model.build(model.run, model.searcher(), model.teacher, model.tracer())
    return loaded.Live(module, signatures, metadata.describe(model.run, signatures, model.teacher))
  if loaded_openvino.is_in(MODEL.value):
    return loaded_openvino.Model(MODEL.value)
  loaded.share_threads(MODEL.value)
  return loaded.Model(MODEL.value)


def check_flags() -> None:
  """Checks that the flags fit each other."""
  idle = [flag.name for flag in (SET, RESCORE_WITH, DRAFT_WITH, SHORTLIST) if flag.value]
  if MODEL.value and WORKDIR.value:
    raise ValueError("--workdir is a run that is served without an export; give it or --model, not both.")
  if MODEL.value and idle:
    raise ValueError(f"{MODEL.value} is exported with its search; leave out --{' and --'.join(idle)}, or give "
                     "the run itself as --workdir.")
  if LANGUAGES.value and len(LANGUAGES.value.split(",")) != 2:
    raise ValueError(f"--languages expects a source and a target language, as en,de; got {LANGUAGES.value!r}.")
  if MAX_LINES.value > MAX_QUEUE.value:
    raise ValueError(f"--max_lines={MAX_LINES.value} is more than --max_queue={MAX_QUEUE.value} can hold; raise "
                     "--max_queue.")


def serve() -> None:
  """Serves until SIGTERM or Ctrl-C."""
  check_flags()
  # Set before TensorFlow is imported: lets oneDNN reorder weights only once, as nothing here changes them.
  os.environ.setdefault("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
  try:
    import uvicorn

    from tf_nar.serve import app as app_lib
    from tf_nar.serve import asking
    from tf_nar.serve import batching
    from tf_nar.serve import metrics as metrics_lib
  except ModuleNotFoundError as missing:
    if missing.name not in ("uvicorn", "starlette", "prometheus_client"):
      raise
    raise ImportError(f"{missing.name} is missing; pip install -c constraints-cpu.txt -e '.[serve]'.") from None
  model = opened()
  if LANGUAGES.value:
    model.facts["languages"] = LANGUAGES.value.split(",")
  listening = _listen(HOST.value, PORT.value)
  metrics = metrics_lib.Metrics()
  sizes = dict(max_batch=MAX_BATCH.value, max_characters=MAX_BATCH_CHARACTERS.value)
  batcher = batching.Batcher(model.answer, **sizes, max_wait=MAX_WAIT_MS.value / 1000, max_queue=MAX_QUEUE.value,
                             observe=metrics.batch)
  limits = asking.Limits(MAX_BODY.value, MAX_LINES.value, MAX_CHARACTERS.value)
  asgi = app_lib.build(model, batcher, limits, TIMEOUT_S.value, metrics)
  server = uvicorn.Server(uvicorn.Config(
      asgi, http="h11", ws="none", access_log=False, log_config=None, log_level="warning",
      server_header=False, timeout_graceful_shutdown=int(TIMEOUT_S.value) + 1))
  failures = []

  def failed(problem):
    failures.append(problem)
    server.should_exit = True

  # uvicorn installs its own handlers while it runs, and raises the signal again afterwards; that must not end us.
  for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, lambda *_: setattr(server, "should_exit", True))
  batcher.start(model.warm_ups(**sizes), failed)
  host, port = listening.getsockname()[:2]
  print(f"http://{host}:{port} offers {', '.join(model.offers)}; Ctrl-C stops it.", flush=True)
  server.run(sockets=[listening])
  if failures:
    raise ValueError(f"{MODEL.value or WORKDIR.value} cannot be warmed up ({type(failures[0]).__name__}, see above); "
                     "export it again.")


def _listen(host, port):
  """Returns a listening socket.

  Raises:
    ValueError: if another program uses the port, or if this machine does not have the address.
  """
  try:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
  except OSError as problem:
    why = problem.strerror.split(" (")[0]  # Without the address, which Python appends.
    raise ValueError(f"Cannot listen at {host}:{port}: {why}; give another --host or --port.") from None


def main(argv: list[str]) -> None:
  program.run("serve", serve, argv)
