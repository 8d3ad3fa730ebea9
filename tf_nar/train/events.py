"""Removes TensorBoard events after the last checkpoint of an interrupted run, so that no point is written twice."""
import os

import tensorflow as tf

from tf_nar.data import atomic


def forget_after(folder: str, step: int) -> None:
  """Rewrites the event files of a folder without the events after `step`; the first record is the version."""
  names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
  for name in names:
    if not name.startswith("events.out.tfevents."):
      continue
    path, kept, dropped = os.path.join(folder, name), [], 0
    for record in _records(path):
      late = tf.compat.v1.Event.FromString(record).step > step
      dropped += late
      if not late:
        kept.append(record)
    if dropped:
      with atomic.renamed(path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
        for record in kept:
          writer.write(record)


def _records(path):
  """Yields the complete records of a file, of which the last may be cut off."""
  try:
    yield from tf.data.TFRecordDataset(path).as_numpy_iterator()
  except tf.errors.DataLossError:
    return
