"""Puts load on a `bin/serve.py` of this machine and says how long its answers take: p50, p95, p99, sentences/s, errors.

  python bin/load.py --url=http://127.0.0.1:8000 --source=test.en
  python bin/load.py --url=http://127.0.0.1:8000 --source=test.en --clients=32 --seconds=20 --together=4

Each client has one connection, asks, waits for the answer, and asks again. Exits with 1 if there was an error. The
clients take their share of the processor, so a server alone is a little faster. Only this machine may be asked.
"""
from tf_nar import program
from tf_nar.data import text
from tf_nar.serve import load

flags = program.Flags()

URL = flags.DEFINE_string("url", "http://127.0.0.1:8000", "The server, on this machine.")
SOURCE = flags.DEFINE_string("source", None, "A file of sentences to ask, one a line.", required=True)
CLIENTS = flags.DEFINE_integer("clients", 8, f"How many ask at a time, at most {load.MOST}.")
SECONDS = flags.DEFINE_float("seconds", 60.0, f"How long, at most {load.LONGEST}.")
TOGETHER = flags.DEFINE_integer("together", 1, "Sentences of a request.", lower_bound=1)


def put_load():
  """Asks the server; returns the exit status."""
  sentences = [line for line in text.read(SOURCE.value) if line.strip()]
  report = load.run(URL.value, sentences, clients=CLIENTS.value, seconds=SECONDS.value, together=TOGETHER.value)
  print(report)
  return 1 if report.errors else 0


def main(argv):
  program.run("load", put_load, argv)
