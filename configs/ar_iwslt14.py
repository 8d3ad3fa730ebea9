"""The AR teacher on IWSLT14 de-en, the small model of the original program.

The settings are those of its launch scripts: about 200 sentences per update.

  python bin/train.py --config=configs/ar_iwslt14.py --data_dir=data/iwslt14_de_en --workdir=runs/ar_iwslt14

Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  return config.Experiment(
    family="ar",
    model=ar.Config(transformer.SMALL),
    search=ar.Search(beam=5, alpha=1.4, extra_length=20),
    train=config.Train(
      steps=120_000, tokens_per_batch=6_144, max_length=175, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(
        learning_rate=0.1, warmup=4_000, schedule="nat_em", bias_correction=False, weight_decay=1e-4),
    ),
  )
