"""A score network over the latents of LaNMT on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/lanmt_score_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/lanmt_score

The phases "budget" and "bound" train the model as configs/lanmt_multi30k.py does; "score" trains the network, which
begins as that model's decoder, with that model frozen. The kind of steps, their number and their size are chosen on
validation text. An energy network: --set=phases.score.model.kind=energy. Cost: 4,320 updates of 4,096 padded tokens,
1,440 of them of the network; with 3,600 (--set=phases.score.train.steps=3600) its steps gain more than delta steps.
Measured on a teacher's translations, with --warm_start=multi30k_en_de/teacher, two seeds, the first in float32: test
BLEU 33.5 and 33.0 by the prior's mean, 33.8 and 33.3 after two steps of the network, 36.9 and 36.3 ranked by the
teacher; on the original text 31.9, 32.7 and 36.4 (docs/results/latents.md).
"""
import dataclasses

from configs import lanmt_multi30k
from tf_nar import config
from tf_nar.models import lanmt_score


def get_config():
  latent = lanmt_multi30k.get_config()
  plain = dataclasses.replace(latent, phases=())
  before = tuple(dataclasses.replace(phase, experiment=plain) for phase in latent.phases)
  return config.Experiment(
    family="lanmt_score",
    # Its latents are near the mean of the prior, as those of translation: farther out it learns to take noise away.
    model=lanmt_score.Config(
      dataclasses.replace(latent.model.net, dropout=0.1), latent.model.latent, noise=0.3,
      own_after=latent.train.steps // 2),  # For --set=model.own=0.5.
    search=lanmt_score.Search(),
    train=latent.train,
    phases=(*before, config.Phase("score", frozen="bound")),
    sweep=("search.refine=none,delta,score", "search.steps=1,2", "search.step_size=0.5,1.0"),
  )
