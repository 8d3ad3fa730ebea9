"""EM on the built-in toy pair, for which distillation alone does not help (tf_nar/data/toy.py explains why).

  python bin/em.py --config=configs/em_toy.py --workdir=runs/demo

Measured on two CPU cores, TF 2.20; seeds of data, teacher and student all 0 / all 1. NCM is that of the text on which
the round's student was trained, in nats per token; BLEU and the share of translations wholly in one mode ("valid") are
the student's, by ODD, on validation text. At best a NAR model has NCM 0.583 on the original text, and BLEU 58.

  round                  NCM              BLEU           valid
  0  original text       0.624 / 0.631    41.7 / 29.0    0.425 / 0.190
  1  distillation        0.598 / 0.609    43.0 / 37.5    0.430 / 0.345
  2                      0.072 / 0.107    58.4 / 54.7    1.000 / 0.980
  3                      0.067 / 0.071    58.4 / 54.3    1.000 / 0.995

It took 2 min 46 s of CPU time; seed 1 was measured at an earlier commit.
"""
from tf_nar import config
from tf_nar.data import toy
from tf_nar.em import config as em_config
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import nat_em


def _net(**sizes):
  quiet = dict(attention_dropout=0.0, relu_dropout=0.0)
  return transformer.Config(width=64, ffn=128, heads=4, max_length=32, **quiet, **sizes)


def _train(steps, learning_rate, warmup):
  return config.Train(
    steps=steps, tokens_per_batch=1_800, max_length=32, buckets=1, log_every=50, validate_every=steps, keep=1,
    optimizer=config.Optimizer(learning_rate=learning_rate, warmup=warmup))


def get_config():
  return em_config.Alternation(
    # Without dropout and label smoothing, so that the teacher memorises the mode of each sentence.
    teacher=config.Experiment(
      "ar", ar.Config(_net(encoder_layers=2, decoder_layers=2, dropout=0.0), smoothing=0.0),
      ar.Search(beam=3, extra_length=4), _train(300, 1e-3, 100)),
    student=config.Experiment(
      "nat_em", nat_em.Config(_net(encoder_layers=1, decoder_layers=0, dropout=0.1), smoothing=0.1),
      nat_em.Search(odd=True), _train(250, 2e-3, 50)),
    rounds=3,
    nbest=3,
    later_teacher=("train.steps=200",),
    later_student=("train.steps=350",),
    tokens_per_batch=4_096,
    lengths=1,  # A target is as long as its source.
    data=toy.Config(pairs=1_500, first_share=0.58),
  )
