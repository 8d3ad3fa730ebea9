"""The Latent Transformer on WMT16 en-ro: configs/latent_codes_wmt14.py with fewer and smaller updates, for less text.

  python bin/train.py --config=configs/latent_codes_wmt16.py --data_dir=data/wmt16_en_ro \\
      --workdir=runs/latent_codes_wmt16

Cost: 75,000 updates of 20,480 padded tokens. Not measured yet, as it needs an accelerator. The papers
train on a teacher's translations too; see bin/em.py.
"""
import dataclasses

from configs import latent_codes_wmt14
from tf_nar.ops import schedule

STEPS = 50_000


def get_config():
  wmt14 = latent_codes_wmt14.get_config()
  optimizer = dataclasses.replace(wmt14.train.optimizer, warmup=4_000, cooldown=10_000, accumulate=4)
  return dataclasses.replace(
    wmt14,
    model=schedule.scaled(wmt14.model, STEPS, wmt14.train.steps),
    train=dataclasses.replace(wmt14.train, steps=STEPS, optimizer=optimizer),
    phases=(wmt14.phases[0], dataclasses.replace(
      wmt14.phases[1], changes=("model.settled=True", "train.seed=1", "train.steps=25_000"))))
