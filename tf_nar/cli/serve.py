"""Serves an exported model over HTTP: JSON in, JSON out, and a page to try it in a browser.

  python bin/serve.py --model=runs/nat/saved_model
  python bin/serve.py --model=runs/nat/saved_model --host=0.0.0.0 --port=80 --max_batch=64 --max_wait_ms=5
  curl http://127.0.0.1:8000/translate -H 'Content-Type: application/json' -d '{"text": "a low house"}'

/translate, and /candidates, /trace, /score where the model has these signatures; /health says 200 once the model is
warm, /metrics is for Prometheus, / is the page. Sentences of different requests go through the model together.
SIGTERM: what was asked is answered, nothing new is taken, and the program exits with 0. See docs/serving.md.
"""
import os
import signal
import socket

from tf_nar import program

flags = program.Flags()

MODEL = flags.DEFINE_string("model", None, "A SavedModel, the --out of a bin/export.py.", required=True)
HOST = flags.DEFINE_string("host", "127.0.0.1", "The address to listen at; 0.0.0.0 is every one of this machine.")
PORT = flags.DEFINE_integer("port", 8000, "The port to listen at; 0: a free one.", lower_bound=0, upper_bound=65535)
MAX_BATCH = flags.DEFINE_integer("max_batch", 32, "Sentences that go through the model together.", lower_bound=1)
MAX_BATCH_CHARACTERS = flags.DEFINE_integer(
    "max_batch_characters", 8000, "Characters of a batch, padding counted: what bounds memory.", lower_bound=1)
MAX_WAIT_MS = flags.DEFINE_float("max_wait_ms", 2.0, "Milliseconds that a sentence may wait for others.", lower_bound=0)
MAX_QUEUE = flags.DEFINE_integer("max_queue", 1024, "Sentences that may wait; more are told to come back (503).",
                                 lower_bound=1)
TIMEOUT_S = flags.DEFINE_float("timeout_s", 30.0, "Seconds that a request may take (504).", lower_bound=0.01)
MAX_LINES = flags.DEFINE_integer("max_lines", 256, "Sentences of a request (413).", lower_bound=1)
MAX_CHARACTERS = flags.DEFINE_integer("max_characters", 2000, "Characters of a sentence (413).", lower_bound=1)
MAX_BODY = flags.DEFINE_integer("max_body", 1 << 20, "Bytes of a request (413).", lower_bound=1)


def serve():
  """Serves until SIGTERM or Ctrl-C."""
  if MAX_LINES.value > MAX_QUEUE.value:
    raise ValueError(f"--max_lines={MAX_LINES.value} is more than --max_queue={MAX_QUEUE.value} can hold; raise "
                     "the latter.")
  # Before TensorFlow comes: oneDNN may bring weights into its order once, as nothing here changes them.
  os.environ.setdefault("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
  try:
    import uvicorn

    from tf_nar.serve import app as app_lib
    from tf_nar.serve import asking
    from tf_nar.serve import batching
    from tf_nar.serve import loaded
    from tf_nar.serve import metrics as metrics_lib
  except ModuleNotFoundError as missing:
    if missing.name not in ("uvicorn", "starlette", "prometheus_client"):
      raise
    raise ImportError(f"{missing.name} is missing; pip install -c constraints-cpu.txt -e '.[serve]'.") from None
  loaded.share_threads(MODEL.value)
  model = loaded.Model(MODEL.value)
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

  # uvicorn has handlers of its own while it runs, and raises what it has obeyed again; that must not end us.
  for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, lambda *_: setattr(server, "should_exit", True))
  batcher.start(model.warm_ups(**sizes), failed)
  host, port = listening.getsockname()[:2]
  print(f"http://{host}:{port} offers {', '.join(model.offers)}; Ctrl-C stops it.", flush=True)
  server.run(sockets=[listening])
  if failures:
    raise ValueError(f"{MODEL.value} cannot be warmed up ({type(failures[0]).__name__}, see above); export it again.")


def _listen(host, port):
  """Returns a socket.

  Raises:
    ValueError: if another program has the port, or the machine has no such address.
  """
  try:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
  except OSError as problem:
    why = problem.strerror.split(" (")[0]  # What Python adds says the address again.
    raise ValueError(f"Cannot listen at {host}:{port}: {why}; give another --host or --port.") from None


def main(argv):
  program.run("serve", serve, argv)
