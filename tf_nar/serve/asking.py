"""Reads requests: a JSON object of sentences, within limits. Any other request is refused with a one-line message."""
import json
import unicodedata
from typing import NamedTuple

from starlette import requests

FIELDS = {"translate": ("text",), "candidates": ("text",), "trace": ("text",), "score": ("source", "target")}
JSON = "application/json"
NO_TEXT = {"Cc": "control character", "Cs": "half of a surrogate pair", "Zl": "line break", "Zp": "line break"}
DRAIN = 16  # A body up to this many times too large is still read, so that the client receives the error message.


class Limits(NamedTuple):
  """The maximum size of one request."""

  body: int  # Bytes.
  lines: int  # Sentences.
  characters: int  # Characters of a sentence.


class Refused(Exception):
  """A refusal of a request: an HTTP status, a one-line reason, and headers."""

  def __init__(self, status, line, headers=None):
    super().__init__(line)
    self.status, self.line, self.headers = status, line, headers


async def read(request, offer, limits):
  """Returns the sentences of a request: a list of strings, or for `score` of pairs (source, target).

  Raises:
    Refused: if the request is not as expected.
  """
  kind = request.headers.get("content-type", "none").split(";")[0].strip()
  if kind.lower() != JSON:
    raise Refused(415, f"Expected the content type {JSON}, got {kind[:60]}; send the header Content-Type: {JSON}.")
  values = _object(await _body(request, limits.body), FIELDS[offer])
  columns = [_sentences(values[name], name, limits) for name in FIELDS[offer]]
  if len({(len(column), isinstance(values[name], str)) for name, column in zip(values, columns, strict=True)}) > 1:
    raise Refused(400, "Expected as many targets as sources, both strings or both lists, got "
                       f"{len(columns[0])} and {len(columns[1])}; send a target for each source.")
  return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


async def _body(request, limit):
  """Returns the body of a request. One that is far too large is not read, nor sent by a client that uses Expect."""
  body, size = [], int(request.headers.get("content-length", 0))
  try:
    if size <= DRAIN * limit:
      size = 0
      async for part in request.stream():
        size += len(part)
        if size <= limit:
          body.append(part)
        elif size > DRAIN * limit:
          break
  except requests.ClientDisconnect:
    raise Refused(400, "The request broke off before its end; send it again.") from None
  if size > limit:
    raise Refused(413, f"Expected a body of at most {limit} bytes, got more; send fewer sentences at a time.")
  return b"".join(body)


def _object(body, names):
  """Returns the JSON object in a body as a dict with exactly the keys `names`."""
  example = json.dumps(dict.fromkeys(names, "..."))
  if not body.strip():
    raise Refused(400, f"Expected a JSON object as {example}, got an empty body; send one.")
  try:
    values = json.loads(body.decode("utf-8"))
  except UnicodeDecodeError as problem:
    raise Refused(400, f"Expected UTF-8, got the byte 0x{body[problem.start]:02x} at position {problem.start} of the "
                       "body; encode the text as UTF-8.") from None
  except json.JSONDecodeError as problem:
    raise Refused(400, f"Expected a JSON object as {example}, got invalid JSON at character {problem.pos} "
                       f"({problem.msg}); look for a missing quote or comma there.") from None
  except (ValueError, RecursionError):  # A number of thousands of digits; brackets nested thousands deep.
    raise Refused(400, f"Expected a JSON object as {example}, got one too large or too deeply nested; send "
                       "strings.") from None
  if not isinstance(values, dict) or set(values) != set(names):
    got = f"one with {_listed(values)}" if isinstance(values, dict) else _kind(values)
    raise Refused(400, f"Expected a JSON object as {example}, got {got}; send {' and '.join(names)} only.")
  return {name: values[name] for name in names}


def _sentences(value, name, limits):
  """Returns the sentences in a field that is a string or a list of strings."""
  texts = [value] if isinstance(value, str) else value
  if not isinstance(texts, list):
    raise Refused(400, f"Expected {name} to be a string or a list of strings, got {_kind(value)}; send the sentences.")
  if not 1 <= len(texts) <= limits.lines:
    raise Refused(413 if texts else 400, f"Expected 1 to {limits.lines} sentences in {name}, got {len(texts)}; "
                                         f"{'send them in several requests' if texts else 'send one'}.")
  for index, text in enumerate(texts):
    _check(text, f"{name}[{index}]" if isinstance(value, list) else name, limits.characters)
  return texts


def _check(text, where, longest):
  """Raises `Refused` if a value is not a valid sentence."""
  if not isinstance(text, str):
    raise Refused(400, f"Expected {where} to be a string, got {_kind(text)}; send a sentence.")
  if len(text) > longest:
    raise Refused(413, f"Expected at most {longest} characters in {where}, got {len(text)}; split it into sentences.")
  for index, character in enumerate(text):
    kind = "line break" if character in "\n\r" else NO_TEXT.get(unicodedata.category(character))
    if kind:
      raise Refused(400, f"Expected a sentence in {where}, got a {kind} (U+{ord(character):04X}) at character {index}; "
                         f"{'send each line as a sentence' if kind == 'line break' else 'remove it'}.")


def _kind(value):
  """Returns the name of a JSON value's type."""
  names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
  return names.get(type(value), "a number")


def _listed(values):
  """Returns the first keys of an object, shortened and escaped for a message."""
  return ", ".join(json.dumps(key[:30]) for key in list(values)[:5]) or "no field"
