"""Encodes text by Apache Beam: each range of lines on some worker of a runner.

A worker writes the `encode.Encoded` of its range to a file, and the caller reads these files in order. So what depends
on the order, as the record file that a pair is in and the hash of all records, is found as without a runner.
"""
import functools
import os
import pickle
from typing import Iterator, Sequence

import apache_beam as beam
import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.data import engine as engine_lib
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import bitext
from tf_nar.prepare import encode as encode_lib

PARTS = "parts"  # The folder of the files of the ranges, which is removed at the end.


def encode(ranges: Sequence[bitext.Range], folder: str, limits: encode_lib.Limits,
           engine: engine_lib.Engine) -> Iterator[encode_lib.Encoded]:
  """Encodes a text as `encode.encode` does.

  Args:
    ranges: the ranges of lines of the text, in order, from `bitext.survey`.
    folder: the folder of the vocabulary, where the workers can write too.
    limits: `encode.Limits`.
    engine: `data.engine.Engine`.

  Yields:
    `encode.Encoded`, for each range in order, after all are encoded.
  """
  parts = os.path.join(folder, PARTS)
  tf.io.gfile.makedirs(parts)
  paths = [os.path.join(parts, f"{number:06}") for number in range(len(ranges))]
  with engine_lib.pipeline(engine) as pipeline:
    _ = (pipeline | "ranges" >> beam.Create([
           (path, some, limits.within(some.first, some.lines)) for path, some in zip(paths, ranges, strict=True)])
         | "to all workers" >> beam.Reshuffle()
         | "encode" >> beam.MapTuple(functools.partial(_encode, folder)))
  for path in paths:
    with atomic.open_read(path) as file:
      yield pickle.loads(file.read())
  tf.io.gfile.rmtree(parts)


def _encode(folder, path, some, limits):
  found = encode_lib.encode_lines(some.first, list(bitext.read(some)), _vocabulary(folder), limits)
  atomic.write(path, pickle.dumps(found))


@functools.lru_cache(1)
def _vocabulary(folder):
  return vocab_lib.load(folder)
