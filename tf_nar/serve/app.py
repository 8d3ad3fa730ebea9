"""The HTTP service of a model: JSON requests and answers, and a web page to try it.

  POST /translate   {"text": "..."} or {"text": ["...", ...]}  ->  {"translations": [{"translation", "score"}, ...]}
  POST /candidates  the same                       ->  {"candidates": [[{"translation", "score"}, ...], ...]}
  POST /trace       the same                       ->  {"traces": [{"translation", "score", "passes": [...]}, ...]}
  POST /score       {"source": ..., "target": ...} ->  {"scores": [...]}
  GET  /health      503 until the model is warm, then 200; the status, the offers, the limits, the model's metadata
  GET  /metrics     for Prometheus
  GET  /            the page
  GET  /docs        this interface, as a page; /openapi.json has it for programs

An answer to sentences of which some are longer than the model takes also has "truncated": their indices from 0.

A request that cannot be answered gets {"error": one line} and an HTTP status: 4xx if the request is wrong, else 5xx.
"""
import asyncio
import contextlib
import functools
import pathlib
from typing import Any

from starlette import applications
from starlette import exceptions
from starlette import responses
from starlette import routing

from tf_nar.serve import asking
from tf_nar.serve import batching
from tf_nar.serve import metrics as metrics_lib

ANSWERS = {"translate": "translations", "candidates": "candidates", "trace": "traces", "score": "scores"}
FILES = {"/": ("page.html", "text/html"), "/docs": ("docs.html", "text/html"),
         "/openapi.json": ("openapi.json", "application/json")}  # {path: (file of this folder, media type)}.
# The pages load nothing from other servers, and are not allowed to.
GUARD = {"Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                    "frame-ancestors 'none'",
         "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
SOON = {"Retry-After": "1"}  # Seconds.


def build(model: Any, batcher: batching.Batcher, limits: asking.Limits, timeout: float,
          metrics: metrics_lib.Metrics | None = None) -> metrics_lib.Counted:
  """Returns the ASGI application.

  Args:
    model: a `loaded.Model`; only its `offers` and `facts` are used.
    batcher: the `batching.Batcher` of the model, which is stopped with the application.
    limits: `asking.Limits`.
    timeout: seconds that a request may take, reading it included.
    metrics: a `metrics.Metrics`; a new one if None.
  """
  metrics = metrics or metrics_lib.Metrics()
  metrics.watch(batcher)

  async def answer(request, offer):
    if offer not in model.offers:
      raise asking.Refused(404, f"Expected a model with the signature {offer}, got one with {', '.join(model.offers)}; "
                                "use one of these, or export another model.")
    if not batcher.ready.is_set():
      raise asking.Refused(503, "The model is still warming up; try again when /health answers with 200.", SOON)
    answers = await _in_time(functools.partial(_answers, request, offer, batcher, limits), timeout)
    metrics.sentences.labels(f"/{offer}").inc(len(answers))
    cut = [index for index, each in enumerate(answers) if each.truncated]
    metrics.truncated.labels(f"/{offer}").inc(len(cut))
    body = {ANSWERS[offer]: [each.content for each in answers]}
    return responses.JSONResponse(body | ({"truncated": cut} if cut else {}))

  async def health(request):
    ready = batcher.ready.is_set()
    return responses.JSONResponse({"status": "ready" if ready else "warming up", "offers": model.offers,
                                   "limits": limits._asdict(), "model": model.facts}, 200 if ready else 503)

  async def numbers(request):
    return responses.Response(metrics.shown(), media_type=metrics_lib.CONTENT_TYPE)

  async def page(request):
    name, kind = FILES[request.url.path]
    return responses.Response(pathlib.Path(__file__).with_name(name).read_bytes(), media_type=kind, headers=GUARD)

  @contextlib.asynccontextmanager
  async def lifespan(app):
    yield
    await asyncio.to_thread(batcher.stop, timeout)

  gets = {**dict.fromkeys(FILES, page), "/health": health, "/metrics": numbers}
  posts = {f"/{offer}": functools.partial(answer, offer=offer) for offer in ANSWERS}
  routes = [routing.Route(path, each, methods=["GET"]) for path, each in gets.items()]
  routes += [routing.Route(path, each, methods=["POST"]) for path, each in posts.items()]
  known = [*posts, *gets]
  app = applications.Starlette(
      routes=routes, lifespan=lifespan,
      exception_handlers={asking.Refused: _refused, exceptions.HTTPException: functools.partial(_unknown, known=known),
                          Exception: _broken})
  app.router.redirect_slashes = False
  return metrics_lib.Counted(app, metrics, known)


async def _answers(request, offer, batcher, limits):
  """Returns the `loaded.Answer`s to a request."""
  asked = await asking.read(request, offer, limits)
  try:
    futures = batcher.ask(offer, asked)
  except batching.Full:
    raise asking.Refused(503, f"Expected room for {len(asked)} more sentences in the queue, got {batcher.waiting} "
                              "waiting; try again in a second.", SOON) from None
  except batching.Closed:
    raise asking.Refused(503, "The server is stopping; use another one.", SOON) from None
  try:
    return await asyncio.gather(*map(asyncio.wrap_future, futures))
  except Exception as problem:  # Any exception of the model; the batcher has logged it.
    raise asking.Refused(500, f"The model failed with {type(problem).__name__}; the operator can find details in "
                              "the server's log.") from None


async def _in_time(work, timeout):
  """Awaits work() for at most `timeout` seconds."""
  try:
    async with asyncio.timeout(timeout):
      return await work()
  except TimeoutError:
    raise asking.Refused(504, f"Expected an answer within {timeout:g} seconds, got none; send fewer sentences at "
                              "a time, or try later.") from None


async def _refused(request, refused):
  return responses.JSONResponse({"error": refused.line}, refused.status, refused.headers)


async def _unknown(request, problem, known):
  """Answers a request for an unknown path or method with the known ones."""
  path = request.url.path[:60]
  line = f"Expected one of {', '.join(known)}, got {path}; use one of these."
  if problem.status_code == 405:
    line = f"Expected {problem.headers['Allow']} for {path}, got {request.method[:20]}; use another method."
  return responses.JSONResponse({"error": line}, problem.status_code, problem.headers)


async def _broken(request, problem):
  line = f"The server failed with {type(problem).__name__}; the operator can find details in its log."
  return responses.JSONResponse({"error": line}, 500)
