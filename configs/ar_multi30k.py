"""The AR teacher on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/teacher

Published for a text-only Transformer of this size (paper; Wu et al., ACL 2021): 41.02 BLEU, tokenised,
test_2016, beam 5. Measured here: 39.8 at alpha 1.0, 40.0 at 1.6 (docs/results.md).

Differs from the published recipe: half its 8,192 tokens an update, a lower peak (0.005 there) and a shorter
warm-up (2,000 there), for fewer epochs on a CPU.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  return config.Experiment(
    family="ar",
    model=ar.Config(transformer.TINY),
    search=ar.Search(beam=1, extra_length=20),  # Of validation; evaluate with --set=search.beam=5.
    train=config.Train(
      steps=10_080,
      tokens_per_batch=4_096,
      max_length=64,
      optimizer=config.Optimizer(learning_rate=0.0035, warmup=1_500),
      log_every=60,
      validate_every=120,  # About an epoch.
      patience=10,
      keep=10,
      average=10,
    ),
  )
