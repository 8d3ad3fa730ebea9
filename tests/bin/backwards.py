"""A model that spells sentences backwards."""
import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.data import vocab as vocab_lib

VOCAB = vocab_lib.WordList([*types.SPECIALS, *"abcdefgh"])


class Backwards:
  """Candidates are the source backwards, then, each a nat worse, the source itself and others shifted by letters."""

  traits, config = family.Traits(lambda *_: family.Operations(0, 0)), None

  def translate(self, src, search, rescore=None):
    words = tf.reduce_sum(tf.cast(src > types.EOS, tf.int32), 1)
    back = tf.reverse_sequence(src, words, seq_axis=1)
    later = [tf.where(src > types.EOS, 5 + (src - 5 + n) % 8, src) for n in range(search.candidates - 1)]
    tokens = tf.stack([back, *later], 1)
    score = tf.tile(-tf.range(search.candidates, dtype=tf.float32)[None], [tf.shape(src)[0], 1])
    if rescore:
      score, order = tf.math.top_k(rescore(tokens), search.candidates)
      tokens = tf.gather(tokens, order, batch_dims=1)
    return types.Translation(tokens, score, tf.constant(1))

  def score(self, src, tgt):
    """Half a nat per target token, plus 100 if the target does not begin as the source."""
    tokens = tf.math.count_nonzero(tgt, 1, dtype=tf.float32)
    return -0.5 * tokens - 100 * tf.cast(src[:, 0] != tgt[:, 0], tf.float32)
