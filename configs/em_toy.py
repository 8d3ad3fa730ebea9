"""EM on the built-in toy pair, where distillation alone does not help (tf_nar/data/toy.py says why).

  python bin/em.py --config=configs/em_toy.py --workdir=runs/demo
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
    # No dropout and no smoothing: the teacher is to remember which mode each sentence had.
    teacher=config.Experiment(
      "ar", ar.Config(_net(encoder_layers=2, decoder_layers=2, dropout=0.0), smoothing=0.0),
      ar.Search(beam=3, extra_length=4), _train(300, 1e-3, 100)),
    student=config.Experiment(
      "nat_em", nat_em.Config(_net(encoder_layers=1, decoder_layers=0, dropout=0.1), smoothing=0.1),
      nat_em.Search(odd=True), _train(250, 2e-3, 50)),
    rounds=3,
    nbest=3,
    later_teacher_steps=200,
    later_student_steps=350,
    tokens_per_batch=4_096,
    lengths=1,  # A target is as long as its source.
    data=toy.Config(pairs=1_500, first_share=0.58),
  )
