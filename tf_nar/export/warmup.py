"""What a server translates before its first user comes: a request of each length, in TensorFlow Serving's file.

  assets.extra/tf_serving_warmup_requests      a TFRecord of tensorflow.serving.PredictionLog

The first call of a signature makes its graph ready, and of a length, its kernels. The graph takes any length; those
here are only what is warmed. The four messages are written by hand: tensorflow-serving-api would bring gRPC for them.
"""
import os

import numpy as np
import tensorflow as tf

from tf_nar import types

FILE = "tf_serving_warmup_requests"
_FIRST = 8  # The shortest length; each next one is twice as long.


def buckets(longest):
  """Returns the lengths of sources in tokens, EOS included, that are warmed: 8, 16, 32 ... and the longest."""
  lengths = []
  while _FIRST << len(lengths) < longest:
    lengths.append(_FIRST << len(lengths))
  return [*lengths, longest]


def texts(vocab, lengths):
  """Returns a text of about as many tokens as each of `lengths` says, never more, with EOS."""
  draw = np.random.default_rng(0)

  def text(length):
    ids = draw.integers(len(types.SPECIALS), len(vocab), length - 1)
    texts = (vocab.decode(ids[:count]) for count in range(length - 1, 0, -1))  # Other tokens may be read out of it.
    return next((line for line in texts if len(vocab.encode(line)) < length), "")

  return [text(length) for length in lengths]


def write(folder, signatures, lines):
  """Writes a request of every line to every signature; strings are the line, ids are as many words as the line.

  Args:
    folder: assets.extra of a SavedModel.
    signatures: dict, name -> list of (name of an argument, its dtype).
    lines: as `texts` gives them.
  """
  def value(kind, line):
    return tf.constant([line]) if kind == tf.string else tf.constant([[types.UNK] * len(line.split()) + [types.EOS]])

  with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as file:
    for line in lines:
      for name, arguments in signatures.items():
        file.write(prediction_log(name, {each: value(kind, line) for each, kind in arguments}))


def prediction_log(signature, inputs):
  """Returns the bytes of a PredictionLog: a request to a signature of tensors under their names.

    PredictionLog.predict_log = 6, PredictLog.request = 1, PredictRequest.model_spec = 1, .inputs = 2 (a map),
    ModelSpec.signature_name = 3
  """
  entries = [
    _field(2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value.numpy()).SerializeToString()))
    for name, value in inputs.items()]
  return _field(6, _field(1, b"".join([_field(1, _field(3, signature.encode())), *entries])))


def _field(number, content):
  """A field of a message in protobuf's wire format: its number and kind, its length in sevens of bits, its bytes."""
  length, left = b"", len(content)
  while left > 127:
    length, left = length + bytes([left & 127 | 128]), left >> 7
  return bytes([number << 3 | 2]) + length + bytes([left]) + content
