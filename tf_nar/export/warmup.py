"""Warm-up requests for a server to answer before the first real one: one of each length, as TensorFlow Serving reads.

  assets.extra/tf_serving_warmup_requests      a TFRecord of tensorflow.serving.PredictionLog

The first call of a signature prepares its graph, and the first call with a length prepares kernels. The graph accepts
any length; these are only the ones warmed up. The four protobuf messages are encoded by hand, because
tensorflow-serving-api would add gRPC as a dependency.
"""
import os
from typing import Any, Iterable, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import types

FILE = "tf_serving_warmup_requests"
_FIRST = 8  # The shortest length in tokens; each next one is twice as long.


def buckets(longest: int) -> list[int]:
  """Returns the source lengths of the requests, in tokens with EOS: 8, 16, 32 ... and the longest."""
  lengths = []
  while _FIRST << len(lengths) < longest:
    lengths.append(_FIRST << len(lengths))
  return [*lengths, longest]


def texts(vocab: Any, lengths: Iterable[int]) -> list[str]:
  """Returns for each of `lengths` a text of about so many tokens, EOS included, and never more."""
  draw = np.random.default_rng(0)

  def text(length):
    ids = draw.integers(len(types.SPECIALS), len(vocab), length - 1)
    texts = (vocab.decode(ids[:count]) for count in range(length - 1, 0, -1))  # The text may be segmented differently.
    return next((line for line in texts if len(vocab.encode(line)) < length), "")

  return [text(length) for length in lengths]


def write(folder: str, signatures: dict[str, list[tuple[str, tf.DType]]], lines: Sequence[str]) -> None:
  """Writes a request with every line for every signature; ids, where it takes ids, are as many as the line's words.

  Args:
    folder: assets.extra of a SavedModel.
    signatures: dict, name -> list of (name of an argument, its dtype).
    lines: as `texts` returns them.
  """
  def value(kind, line):
    return tf.constant([line]) if kind == tf.string else tf.constant([[types.UNK] * len(line.split()) + [types.EOS]])

  with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as file:
    for line in lines:
      for name, arguments in signatures.items():
        file.write(prediction_log(name, {each: value(kind, line) for each, kind in arguments}))


def prediction_log(signature: str, inputs: dict[str, tf.Tensor]) -> bytes:
  """Returns the bytes of a PredictionLog with a request to a signature; `inputs` is {name: tensor}.

    PredictionLog.predict_log = 6, PredictLog.request = 1, PredictRequest.model_spec = 1, .inputs = 2 (a map),
    ModelSpec.signature_name = 3
  """
  entries = [
    _field(2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value.numpy()).SerializeToString()))
    for name, value in inputs.items()]
  return _field(6, _field(1, b"".join([_field(1, _field(3, signature.encode())), *entries])))


def _field(number, content):
  """Returns a field in protobuf's wire format: its number and type, its length as a varint, its bytes."""
  length, left = b"", len(content)
  while left > 127:
    length, left = length + bytes([left & 127 | 128]), left >> 7
  return bytes([number << 3 | 2]) + length + bytes([left]) + content
