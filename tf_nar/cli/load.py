"""Load-tests a `bin/serve.py` on this machine: latency p50, p95, p99, sentences/s, errors.

  python bin/load.py --url=http://127.0.0.1:8000 --source=test.en
  python bin/load.py --url=http://127.0.0.1:8000 --source=test.en --clients=32 --seconds=20 --together=4

Each client holds one connection, sends a request, waits for the answer, and sends the next. Exits with 1 if there was
an error. The clients use part of the processor, so a server alone is a little faster. The server must be on this
machine.
"""
from tf_nar import program
from tf_nar.data import text
from tf_nar.serve import load

flags = program.Flags()

URL = flags.DEFINE_string("url", "http://127.0.0.1:8000", "The server, on this machine.")
SOURCE = flags.DEFINE_string("source", None, "A file of sentences to send, one per line.", required=True)
CLIENTS = flags.DEFINE_integer("clients", 8, f"Number of concurrent clients, at most {load.MOST}.")
SECONDS = flags.DEFINE_float("seconds", 60.0, f"Duration of the test, at most {load.LONGEST}.")
TOGETHER = flags.DEFINE_integer("together", 1, "Sentences per request.", lower_bound=1)


def put_load() -> int:
  """Sends the requests; returns the exit status."""
  sentences = [line for line in text.read(SOURCE.value) if line.strip()]
  report = load.run(URL.value, sentences, clients=CLIENTS.value, seconds=SECONDS.value, together=TOGETHER.value)
  print(report)
  return 1 if report.errors else 0


def main(argv: list[str]) -> None:
  program.run("load", put_load, argv)
