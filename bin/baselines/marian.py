"""Trains Hugging Face's Marian, as the baseline of `bin/bench_train.py --baseline=marian`, which starts this program.

It needs torch and transformers and nothing else, in a separate Python environment:

  python3 -m venv torch_env
  torch_env/bin/pip install torch transformers
  python bin/bench_train.py --config=configs/ar_multi30k.py --length=24 --vocab=9713 \\
      --baseline=marian --baseline_python=torch_env/bin/python

It reads requests from stdin and answers on stdout; see tf_nar/train/baseline.py. The shape, the batches with their
padding, label smoothing over the vocabulary, clipping, dropout, Adam and bfloat16 (by autocast) are as ours. It uses
torch's fused attention and fused Adam; threads wait without spinning unless OMP_WAIT_POLICY is set otherwise. Differs:
sinusoidal positions, no layer norm of the embeddings.
"""
import json
import sys
import time

import torch
import transformers

PAD, EOS = 0, 1


class Marian:
  """A model and its optimizer."""

  def __init__(self, settings):
    torch.manual_seed(0)
    torch.set_num_threads(settings["threads"])
    same = {f"{part}_{name}": settings[key] for part in ("encoder", "decoder") for name, key in (
      ("ffn_dim", "ffn"), ("attention_heads", "heads"))}
    config = transformers.MarianConfig(
      vocab_size=settings["vocab"], d_model=settings["width"], **same, encoder_layers=settings["encoder_layers"],
      decoder_layers=settings["decoder_layers"], dropout=settings["dropout"],
      attention_dropout=settings["attention_dropout"], activation_dropout=settings["relu_dropout"],
      max_position_embeddings=settings["max_length"] + 1, activation_function="relu", scale_embedding=True,
      pad_token_id=PAD, eos_token_id=EOS, forced_eos_token_id=None, decoder_start_token_id=PAD)
    self.model = transformers.MarianMTModel(config).train()
    self._smoothing, self._clip = settings["smoothing"], settings["clip_norm"]
    self._dtype = torch.bfloat16 if settings["dtype"] == "mixed_bfloat16" else None
    self._adam = torch.optim.Adam(
      self.model.parameters(), lr=1e-4, betas=(settings["beta_1"], settings["beta_2"]), fused=True)

  def update(self, batches):
    """Makes one update on micro-batches, a list of (src, tgt), int64 [B, S] and [B, T]."""
    tokens = sum(int((tgt != PAD).sum()) for _, tgt in batches)
    for src, tgt in batches:
      with torch.autocast("cpu", self._dtype or torch.bfloat16, enabled=self._dtype is not None):
        given = torch.roll(tgt, 1, 1)
        given[:, 0] = PAD
        logits = self.model(
          input_ids=src, attention_mask=(src != PAD).long(), decoder_input_ids=given, use_cache=False).logits
      loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), tgt.flatten(), ignore_index=PAD, label_smoothing=self._smoothing,
        reduction="sum")
      (loss / tokens).backward()
    if self._clip:
      torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
    self._adam.step()
    self._adam.zero_grad()


def turn(marian, updates):
  """Returns the seconds of some updates."""
  ready = [[(torch.tensor(batch["src"]), torch.tensor(batch["tgt"])) for batch in update] for update in updates]
  began = time.perf_counter()
  for batches in ready:
    marian.update(batches)
  return time.perf_counter() - began


def main():
  ask = lambda: json.loads(line) if (line := sys.stdin.readline()) else None
  answer = lambda value: print(json.dumps(value), flush=True)
  settings = ask()
  marian = Marian(settings)
  answer({
    "toolkit": f"transformers {transformers.__version__}, torch {torch.__version__}",
    "threads": torch.get_num_threads(), "weights": sum(p.numel() for p in marian.model.parameters())})
  while (question := ask()) is not None:
    answer({"seconds": turn(marian, question["updates"])})


if __name__ == "__main__":
  main()
