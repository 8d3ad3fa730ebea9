"""Translates text, one sentence per line, in order.

  python bin/translate.py --workdir=runs/de_en --input=test.de --output=test.hyp
  python bin/translate.py --workdir=runs/de_en < test.de > test.hyp
  python bin/translate.py --workdir=runs/de_en                            # Prompts for sentences, on a terminal.
  python bin/translate.py --workdir=runs/ar --nbest=20 --input=test.de
  python bin/translate.py --workdir=runs/nat --set=search.candidates=9 --rescore_with=runs/ar --input=test.de
  python bin/translate.py --workdir=runs/ar_1,runs/ar_2 --input=test.de
  python bin/translate.py --workdir=runs/ar --draft_with=runs/nat --input=test.de
  python bin/translate.py --workdir=runs/cmlm --trace --input=test.de
  python bin/translate.py --workdir=runs/lanmt_score --set=search.steps=4 --latent_plot=latents.png --input=test.de

Several autoregressive runs, with commas between, translate together: the mean of their log p for each next token.
An empty line gives an empty line. A line longer than the model takes is cut; a warning gives the number of such lines.
--nbest prints lines `index ||| text ||| score` with indices from 0; --scores prints `text ||| score`. --token_scores
appends ` ||| tokens ||| log p of each token`, in one pass of the model over the whole translation.
--alignment writes a line for each output line: pairs of source word and target word, counted from 0. They come from the
model's own positions (ctc, dag, nat_fertility), else from the strongest cross-attention.
--trace prints a line for each decoder pass of an iterative search, `index ||| pass ||| inputs ||| predictions` of the
best candidate, in tokens; an empty line has no pass. Of lanmt and lanmt_score it is what the latents before each step
say, and those after the last.
--latent_plot draws the latents of the first sentence, of lanmt and lanmt_score, in their two principal axes: the mean
of the prior and draws from it, search.steps delta steps and as many of the network, the mean given --latent_reference.
"""
import contextlib
import functools
import itertools
import sys

from tf_nar import program
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string(
  "workdir", None, "The run folder to translate with; several autoregressive runs with commas between translate "
  "together.", required=True)
INPUT = flags.DEFINE_string("input", "", "Text to translate; empty: standard input.")
OUTPUT = flags.DEFINE_string("output", "", "The file for the translations; empty: standard output.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", program.RESCORE_WITH)
DRAFT_WITH = flags.DEFINE_string("draft_with", "", program.DRAFT_WITH)
SHORTLIST = flags.DEFINE_string("shortlist", "", program.SHORTLIST)
COPY_UNKNOWN = flags.DEFINE_bool("copy_unknown", False, program.COPY_UNKNOWN)
NBEST = flags.DEFINE_integer(
  "nbest", 0, "Prints up to this many different candidates per line, widening the search if needed; 0: off.",
  lower_bound=0)
SCORES = flags.DEFINE_bool("scores", False, "Prints the score after each translation.")
TOKEN_SCORES = flags.DEFINE_bool("token_scores", False, "Prints the tokens and log p of each after each translation.")
ALIGNMENT = flags.DEFINE_string(
  "alignment", "", "The file for the word alignment of each output line, as 0-0 1-2 (Pharaoh); empty: none.")
ALIGNMENT_PLOT = flags.DEFINE_string(
  "alignment_plot", "", "A PNG file that shows the alignment of the first translation that has tokens; empty: none.")
TRACE = flags.DEFINE_bool(
  "trace", False, "Prints the inputs and predictions of each decoder pass, one sentence at a time.")
LATENT_PLOT = flags.DEFINE_string(
  "latent_plot", "", "A PNG file that shows the latents of the first sentence that has tokens; empty: none.")
LATENT_REFERENCE = flags.DEFINE_string(
  "latent_reference", "", "A translation of that sentence, whose posterior is drawn too; empty: none.")
TOKENS = flags.DEFINE_integer(
  "tokens_per_batch", 8192, "Padded source tokens per batch and device, over all length candidates.", lower_bound=1)
WINDOW = flags.DEFINE_integer(
  "window", 50_000, "Lines that are read, sorted by length and translated together; 1 translates each at once.",
  lower_bound=1)
TPU = flags.DEFINE_string("tpu", "", program.TPU)


def translate() -> None:
  """Translates from the input to the output given by the flags."""
  from tf_nar import translator
  from tf_nar.evaluate import latent_plot
  from tf_nar.evaluate import progress
  others = NBEST, SCORES, TOKEN_SCORES, ALIGNMENT, ALIGNMENT_PLOT, COPY_UNKNOWN
  if TRACE.value and any(flag.value for flag in others):
    raise ValueError("--trace shows the passes of the best candidate alone; leave out --nbest, --scores, "
                     "--token_scores, --alignment, --alignment_plot and --copy_unknown.")
  if LATENT_REFERENCE.value and not LATENT_PLOT.value:
    raise ValueError("--latent_reference is drawn by --latent_plot; give that file too.")
  settings = [*SET.value, *[translator.UNKNOWN] * COPY_UNKNOWN.value]
  run = translator.opened(WORKDIR.value, settings, translates=True, draft_with=DRAFT_WITH.value,
                          shortlist=SHORTLIST.value)
  model = translator.Translator(run, translator.opened(RESCORE_WITH.value) if RESCORE_WITH.value else None,
                                tokens_per_batch=TOKENS.value, copy_unknown=COPY_UNKNOWN.value)
  asks = INPUT.value in {"", "-"} and text.is_terminal(sys.stdin)
  sources = text.read(INPUT.value, "> " if asks else "")
  if LATENT_PLOT.value:
    sources = latent_plot.watching(run, sources, LATENT_PLOT.value, LATENT_REFERENCE.value)
  shown = OUTPUT.value in {"", "-"} and text.is_terminal(sys.stdout)
  with contextlib.ExitStack() as files, progress.Progress("translate", quiet=asks or shown) as bar:
    write = files.enter_context(text.writing(OUTPUT.value))
    links = files.enter_context(text.writing(ALIGNMENT.value)) if ALIGNMENT.value else lambda line: None
    aligned = _aligner(model, links) if ALIGNMENT.value or ALIGNMENT_PLOT.value else None
    show = _tracer(model) if TRACE.value else functools.partial(_translations, model, aligned)
    for line in show(sources, 1 if asks else WINDOW.value, bar.advance):
      write(line)


def _translations(model, aligned, sources, window, advance):
  """Yields output lines; reads `window` sentences at a time and passes the number translated to `advance`.

  `aligned` is called with the source, the ids and the alignment of every line; None: there are no alignments.
  """
  from tf_nar.evaluate import corpus
  from tf_nar.evaluate import lines
  texts, same, again = itertools.tee(sources, 3)
  ids, own = itertools.tee(model.ids(texts))
  found = model.stream_ids(ids, nbest=NBEST.value, window=window, progress=advance)
  explained = corpus.stream(
    functools.partial(_explained, model, aligned is not None), zip(same, own, found, strict=True), window)
  for index, (source, (candidates, scores, weights)) in enumerate(zip(again, explained, strict=True)):
    shown = lines.formatted(
      index, candidates, model.run.vocab, nbest=NBEST.value, scores=SCORES.value, of_tokens=scores)
    yield from shown
    if aligned:
      ids_of = [tokens for tokens, _ in candidates] or [[]] * len(shown)  # A line without a translation has none.
      for tokens, each in zip(ids_of, weights or [None] * len(ids_of), strict=True):
        aligned(source, tokens, each)


def _explained(model, align, some):
  """Yields (candidates, log p of their tokens, their alignments) for a list of (source, its ids, candidates); or None.
  """
  some = [(text, source, candidates[:NBEST.value or 1]) for text, source, candidates in some]
  pairs = [(source, tokens) for _, source, candidates in some for tokens, _ in candidates]
  scores = iter(model.token_scores(pairs)) if TOKEN_SCORES.value else None
  weights = iter(model.alignments(pairs)) if align else None
  for each in model.copier(some) if model.copier else (candidates for _, _, candidates in some):
    yield each, *(of and list(itertools.islice(of, len(each))) for of in (scores, weights))


def _aligner(model, write):
  """Returns a function that writes the alignment of an output line, and draws the first one that has links."""
  from tf_nar import types
  from tf_nar.evaluate import alignment
  plots = [ALIGNMENT_PLOT.value] if ALIGNMENT_PLOT.value else []
  vocab = model.run.vocab

  def aligned(source, ids, weights):
    line = alignment.pharaoh(weights, source, ids, vocab)
    write(line)
    if line and plots:
      names = [vocab.source.split(source)[:weights.shape[1] - 1],
               vocab.spell([token for token in ids if token != types.EOS])]
      alignment.draw(plots.pop(), weights[:len(names[1]), :len(names[0])], *names)

  return aligned


def _tracer(model):
  """Returns a function like `_translations` that yields the lines of decoder passes, reading a sentence at a time."""
  from tf_nar.evaluate import tracing
  search = model.run.experiment.search
  passes = tracing.tracer(model.run, search, model.ranker(search))

  def show(sources, _, advance):
    for index, source in enumerate(model.ids(sources)):
      yield from tracing.formatted(index, passes(source))
      advance(1)

  return show


def main(argv: list[str]) -> None:
  program.run("translate", program.on_all_devices(translate, TPU), argv)
