"""The smallest alternation with real models; most of its time is spent tracing graphs."""
from tf_nar import config
from tf_nar.data import toy
from tf_nar.em import config as em_config
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import nat_em

NET = transformer.Config(
  width=8, ffn=8, heads=2, encoder_layers=1, decoder_layers=1, dropout=0.1, max_length=16)
TRAIN = config.Train(
  steps=6, tokens_per_batch=64, max_length=16, buckets=1, log_every=3, validate_every=3, keep=2)


def get_config():
  return em_config.Alternation(
    config.Experiment("ar", ar.Config(NET), ar.Search(beam=2, extra_length=2), TRAIN),
    config.Experiment("nat_em", nat_em.Config(NET), nat_em.Search(), TRAIN),
    rounds=2, nbest=3, lengths=3, tokens_per_batch=256, rule="soft", quality=0.5,
    data=toy.Config(words=12, pairs=24, valid_pairs=6, shortest=3, longest=4))
