"""The Latent Transformer on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges), in two phases.

  python bin/train.py --config=configs/latent_codes_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/latent_codes

First everything is trained together for 960 updates, up to the end of the last of its schedules; then the codes are
settled, and the predictor of codes, encoder and decoder train on with the budget of the other families' configs, 1,440
updates of 4,096 padded tokens. The search is chosen on validation text. To start from a teacher's weights add
--warm_start. Cost: 2,400 updates of 4,096 padded tokens. Measured so on distilled text, with two seeds: test BLEU 36.1,
ranked by the teacher 38.2 (docs/results/latents.md).

  hard EM, a codebook of 512 vectors     as it is, a code for 4 positions
  a code for 8 positions, as published   --set=model.compress=3 (33.6 and 37.3), with which soft EM, hashing and
                                         Gumbel-softmax were measured
  a code for 2 positions                 --set=model.compress=1 (38.1 and 39.5)
  soft EM                                --set=model.bottleneck.samples=10
  decomposed VQ, two codebooks of 32     --set=model.bottleneck.slices=2 --set=model.bottleneck.codes=1024
  improved semantic hashing, 9 bits      --set=model.bottleneck.kind=hash --set=model.bottleneck.restart=0
  Gumbel-softmax                         --set=model.bottleneck.kind=gumbel --set=model.bottleneck.restart=0
"""
import dataclasses

from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.layers import quantizer
from tf_nar.models import latent_codes
from tf_nar.ops import schedule

PHASES = (
  config.Phase("codes", start="warm_start", changes=("train.steps=960",)),
  config.Phase("settled", ("model.settled=True", "train.seed=1")),
)
SWEEP = ("search.beam=1,4", "search.odd=False,True")


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="latent_codes",
    model=latent_codes.Config(
      student.model.net,
      # A code gets about one vote in an update: an average over fifty updates, and codes without any are soon replaced.
      quantizer.Config(codes=512, decay=0.98, restart=0.1, temperature=schedule.Linear(1.2, 0.2, 960)),
      compress=2,
      prior_layers=4,
      prior=schedule.Linear(0.0, 1.0, 960),
      bypass=schedule.Linear(1.0, 0.0, 480),
      gold=schedule.Linear(0.5, 0.0, 720),
    ),
    search=latent_codes.Search(),
    train=dataclasses.replace(student.train, patience=0),
    phases=PHASES,
    sweep=SWEEP,
  )
