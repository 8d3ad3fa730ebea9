"""Translates stdin, line by line, with the OpenVINO model of this folder; `Translator` does so for a program.

  python translate.py < text

Needs the packages openvino and numpy and, depending on the vocabulary, subword-nmt or sentencepiece; nothing else.
model.xml, decoder.xml of a model that predicts lengths or checks drafts, and codes.xml of one that predicts codes, are
the network; the search is here and in ov_search.py, with the options of metadata.json; ov_words.py has the vocabulary.
shortlist.npz, if there is one, has the tokens that a sentence may need: F frequent ones, and k for each of its tokens.
Shapes: B sentences of S tokens, N candidates of each, R = B N rows of T positions.
"""
import itertools
import json
import os
import runpy
import sys

import numpy as np

PAD, EOS, UNK, BOS, MASK = range(5)
NEVER, WALKS = -float("inf"), ("greedy", "lookahead")
VOCABULARIES = "vocab.model", "vocab.txt"  # A separate one of the source has "source." before its name.
SEARCHES, VOCABULARY, DRAFTS, NETWORKS = (
  runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), file))
  for file in ("ov_search.py", "ov_words.py", "ov_drafts.py", "ov_network.py"))
POSITIONS = 512  # Padded source tokens of all candidates of a batch, which bound the logits in memory.


class Translator:
  """Translates raw text to raw text, or tokenised to tokenised text if the vocabulary is one of tokenised text."""

  def __init__(self, folder, threads=0):
    """Args: folder: that of model.xml; threads: of one translation; 0: as many as OpenVINO chooses."""
    with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
      self.about = json.load(file)
    kind = VOCABULARY["Pieces" if self.about["tokenization"] == "sentencepiece" else "Words"]
    path = os.path.join(folder, "source.")
    self._vocab = kind(os.path.join(folder, ""))
    self._source = kind(path) if any(os.path.exists(path + name) for name in VOCABULARIES) else self._vocab
    options = self.about["openvino_options"] | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    path = lambda name: os.path.join(folder, f"{name}.xml")
    self.networks = {name: NETWORKS["Network"](path(name), options)
                     for name in ("model", "codes", "decoder") if os.path.exists(path(name))}
    short = os.path.join(folder, "shortlist.npz")
    self._short = dict(np.load(short)) if os.path.exists(short) else None
    self._options, self.fixed = self.about["search"], self.about["fixed_lengths"]
    free = [] if self._options.get("odd_everywhere") else self.about["repeatable"]
    free = [*free, *([EOS] if self.about["family"] == "flowseq" else [])]  # EOS fills its targets.
    self._free = np.isin(np.arange(self.about["vocabulary"]), free)  # The tokens that ODD lets be repeated.
    self._rows = self._options["draft_positions"] if self.about["drafted_by"] else self._options.get("candidates", 1)
    for width, longer in itertools.pairwise([*self.fixed, 0]):
      self._fix(width, longer)
    search = {"ctc": self._beam if self._options.get("beam", 1) > 1 else self._collapsed, "cmlm": self._refined,
              "ar": self._drafted, "dag": self._walk if self._options.get("method") in WALKS else self._paths}
    self._search = search.get(self.about["family"], self._one_pass)
    if self.about["drafted_by"]:
      drafter = os.path.join(folder, "drafter")
      self._drafter = runpy.run_path(os.path.join(drafter, "translate.py"))["Translator"](drafter, threads)

  def __call__(self, lines):
    """Returns the translation of each line, blank for a blank line."""
    return [candidates[0][0] for candidates, _ in self.answers(lines)]

  def answers(self, lines: list[str]) -> list[tuple[list[tuple[str, float]], bool]]:
    """Returns for each line a list of (translation, score), best first, and whether the line was cut as too long."""
    longest = self.about["max_length"]
    ids = [self._source.encode(line) for line in lines]
    found = [[("", 0.0)] for _ in ids]
    left = sorted((row for row in range(len(ids)) if ids[row]), key=lambda row: -len(ids[row]))
    while left:
      width = min(len(ids[left[0]]) + 1, longest)
      count = max(1, POSITIONS // (width * self._rows))
      rows, left = left[:count], left[count:]
      if len(rows) == 1:
        width = self._padded(width)
      batch = np.zeros([len(rows), width], np.int32)
      for row, positions in zip(rows, batch, strict=True):
        tokens = [*ids[row][:longest - 1], EOS]
        positions[:len(tokens)] = tokens
      for row, candidates in zip(rows, self._search(batch), strict=True):
        found[row] = [(self._vocab.decode(tokens), float(score)) for score, tokens in candidates]
    return [(each, len(tokens) >= longest) for each, tokens in zip(found, ids, strict=True)]

  def _padded(self, width, least=0):
    """Returns the next of the fixed lengths, `least` or more; if there is none, `width`."""
    return min((fixed for fixed in self.fixed if fixed >= max(width, least)), default=width)

  def _fix(self, width, longer):
    """Compiles the networks for a sentence of `width` tokens whose canvas has as many positions, or `longer`.

    Not that of codes: OpenVINO 2026.4 may crash on 8 positions or fewer, and they are a part of a canvas.
    """
    ids = np.full([1, width], EOS, np.int32)
    self.networks["model"].fix(**self._inputs(ids))
    if "decoder" in self.networks:
      states, rows = self._encode(ids)["states"], self._rows
      lengths, fertility = np.full([rows], width, np.int32), np.ones([rows, width], np.int32)
      for size in {width, max(width, longer)}:
        canvas = np.zeros([rows, size], np.int32)
        self.networks["decoder"].fix(**self._decoder_inputs(
          ids, states, canvas, lengths, fertility=fertility, codes=self._no_codes(canvas)))

  def _encode(self, ids):
    """Returns the outputs of the first network, by name."""
    return self.networks["model"](**self._inputs(ids))

  def _inputs(self, ids):
    """Returns ids and, with a shortlist, the tokens that each sentence may need, [B, F + k S], increasing."""
    if self._short is None:
      return {"ids": ids}
    likely = self._short["likely"][ids].reshape(len(ids), -1)
    each = [np.tile(self._short["frequent"], [len(ids), 1]), likely]
    return {"ids": ids, "among": np.sort(np.concatenate(each, 1))}

  # A search returns for each row of ids int32 [B, S] a list of (score, tokens), best first.

  def _collapsed(self, ids):
    """CTC: the best path without repeats and blanks, which are MASK."""
    found = self._encode(ids)
    positions = found["token"].shape[1] // ids.shape[1] * (ids != PAD).sum(1)
    inside = np.arange(found["token"].shape[1]) < positions[:, None]
    token = np.where(inside, found["token"], MASK)
    kept = (token != MASK) & (token != _before(token))
    scores = np.where(inside, found["log_prob"], 0).sum(1)
    return [[(score, row[keep][:self.about["max_length"]])]
            for score, row, keep in zip(scores, token, kept, strict=True)]

  def _beam(self, ids):
    """CTC: the best sentences, by a beam of prefixes."""
    every, options = self._encode(ids)["every"], self._options
    positions = every.shape[1] // ids.shape[1] * (ids != PAD).sum(1)
    never = [PAD, EOS, BOS, MASK, *([] if options["unknown"] else [UNK])]  # No prefix grows by these.
    # Of 2 K tokens at most K - 1 lead to a prefix that is in the beam already, and one repeats the last token.
    tokens, best = SEARCHES["likeliest"](every, 2 * options["beam"], never)
    return SEARCHES["prefix_beam"](
      tokens, best, every, positions, beam=options["beam"], nbest=options["candidates"],
      longest=self.about["max_length"], bonus=options["bonus"])

  def _graph(self, ids):
    """Returns links, and the best tokens with their log p and the last vertices, at which EOS is certain."""
    found, rows = self._encode(ids), np.arange(len(ids))
    token, log_prob = found["token"].copy(), found["log_prob"].copy()
    end = token.shape[1] // ids.shape[1] * (ids != PAD).sum(1) - 1
    token[rows, end], log_prob[rows, end] = EOS, 0
    return found["links"], token, log_prob, end

  def _paths(self, ids):
    """DA-Transformer: the best paths, with log p of their tokens if "joint"."""
    (links, token, log_prob, end), options = self._graph(ids), self._options
    found = SEARCHES["viterbi"](
      links, log_prob * (options["method"] == "joint"), end, penalty=options["penalty"],
      candidates=options["candidates"], steps=min(self.about["max_length"], token.shape[1] - 1))
    candidates = [[(score, words[path]) for score, path in paths] for words, paths in zip(token, found, strict=True)]
    return [[(score, self._unrepeated(tokens)) for score, tokens in each] for each in candidates]

  def _unrepeated(self, tokens):
    return tokens[(tokens != _before(tokens[None])[0]) | (not self._options["collapse"])]

  def _walk(self, ids):
    """DA-Transformer: the best transition from each vertex, with log p of the next token if "lookahead"."""
    (links, token, log_prob, end), options = self._graph(ids), self._options
    count, rows = token.shape[1], np.arange(len(ids))
    following = (links + log_prob[:, None] * (options["method"] == "lookahead")).argmax(-1)
    vertex, score, path = np.zeros_like(end), np.zeros(len(ids), np.float32), []
    for _ in range(min(self.about["max_length"], count - 1)):
      there = np.where(vertex == end, end, following[rows, vertex])
      score += np.where(vertex == end, 0, links[rows, vertex, there] + log_prob[rows, there])
      vertex = there
      path.append(token[rows, vertex])
      if (vertex == end).all():
        break
    return [[(each, self._unrepeated(tokens))] for each, tokens in zip(score, np.stack(path, 1), strict=True)]

  def _one_pass(self, ids):
    """One decoder pass for all length candidates, ranked by log p / ((5 + T) / 6)^alpha."""
    found, options, more = self._encode(ids), self._options, {}
    if "fertility" in found:
      lengths, prior = found["fertility"].sum(-1), found["prior"]
      more["fertility"] = found["fertility"].reshape(-1, ids.shape[1])
    elif "lengths" in found:
      lengths, prior = found["lengths"], found["prior"]
    else:
      lengths, ranked = self._around(found["length"]), self.about["family"] in ("nat_fertility", "latent_codes")
      prior = np.take_along_axis(SEARCHES["log_softmax"](found["length"]), lengths, 1) if ranked else 0
    flat = lengths.ravel()
    canvas = np.zeros([len(flat), self._canvas_width(ids, flat.max())], np.int32)
    if "codes" in self.networks:
      more["codes"], log_prob = self._predicted(ids, found["states"], canvas, flat)
      prior = prior + log_prob.reshape(lengths.shape)
    tokens, log_prob = self._decode(ids, found["states"], canvas, flat, **more)
    translations, score = zip(*(self._read(*row) for row in zip(tokens, log_prob, flat, strict=True)), strict=True)
    score = (np.reshape(score, lengths.shape) + prior) / ((5 + lengths) / 6) ** options["alpha"]
    return _ranked(score, translations)

  def _predicted(self, ids, states, canvas, lengths):
    """Returns the codes of targets of `lengths`, predicted one after the other, and the sum of their log p."""
    def following(codes):
      found = self.networks["codes"](ids=ids, states=states, codes=codes)
      return found["code"], found["log_prob"]

    return SEARCHES["greedy_codes"](following, self._no_codes(canvas), -(-lengths // self.about["positions_a_code"]))

  def _no_codes(self, canvas):
    return np.zeros([len(canvas), -(-canvas.shape[1] // self.about["positions_a_code"])], np.int32)

  def _around(self, logits):
    """Returns the lengths int32 [B, N] around the most probable one; logits float32 [B, max_length + 1]."""
    count, least = self._options["candidates"], max(self._options.get("min_length", 2), 2)
    first = np.maximum(logits.argmax(-1) - count // 2, least)
    return np.clip(first[:, None] + np.arange(count), 1, self.about["max_length"]).astype(np.int32)

  def _read(self, token, log_prob, length):
    """Returns the tokens of a row and the sum of their log p, given the best of each position, [T, K]."""
    token, log_prob = token[:length], log_prob[:length]
    best = token[:, 0]
    same = best[1:] == best[:-1]
    if not self._options["odd"] or not (same & ~self._free[best[1:]]).any():
      return best, log_prob[:, 0].sum()
    choice = SEARCHES["without_repeats"](token.tolist(), log_prob.tolist(), self._free[token].tolist())
    at = np.arange(length)
    return token[at, choice], log_prob[at, choice].sum()

  def _refined(self, ids):
    """Mask-Predict: each pass predicts the tokens with the lowest log p again; candidates of the likeliest lengths."""
    found, options = self._encode(ids), self._options
    least = max(options["min_length"], 2)
    order = np.argsort(-found["length"][:, least:], axis=1, kind="stable")
    lengths = (order[:, :options["candidates"]] + least).astype(np.int32)
    flat = lengths.ravel()
    inside = np.arange(self._canvas_width(ids, flat.max())) < flat[:, None]
    predicted, sure = np.where(inside, MASK, PAD).astype(np.int32), np.zeros(inside.shape, np.float32)
    over = np.zeros(len(flat), bool)
    for number in range(options["passes"]):
      masked = np.floor((1 - number / options["passes"]) * flat).clip(options["min_masked"])
      rank = np.argsort(np.argsort(np.where(inside, sure, np.inf), axis=1, kind="stable"), axis=1)
      hidden = inside & (rank < masked[:, None])
      token, log_prob = self._decode(ids, found["states"], np.where(hidden, MASK, predicted).astype(np.int32), flat)
      written = (inside if options["repredict_all"] else hidden) & ~over[:, None]
      before, predicted = predicted, np.where(written, token[..., 0], predicted)
      sure = np.where(written, log_prob[..., 0], sure)
      over |= (before == predicted).all(1) & options["stop"]
      if over.all():
        break
    translations = [row[:n] for row, n in zip(predicted, flat, strict=True)]
    return _ranked((sure.sum(1) / flat).reshape(lengths.shape), translations)

  def _drafted(self, ids):
    """The greedy translation of an autoregressive model, which checks the drafts of another."""
    states, options, longest = self._encode(ids)["states"], self._options, self.about["max_length"]
    drafts = [[[int(token) for token in tokens if token != EOS] for _, tokens in each]
              for each in self._drafter._search(ids)]
    most = np.ceil((ids != PAD).sum(1) * (options["length_ratio"] or 1)).astype(int) + options["extra_length"]

    def best_after(which, tokens, first):
      some, first = ids[which], np.repeat(first, self._rows)
      canvas = np.full([len(first), self._canvas_width(some, tokens.shape[2])], PAD, np.int32)
      canvas[:, :tokens.shape[2]] = tokens.reshape(len(first), -1)
      found = self.networks["decoder"](**self._decoder_inputs(some, states[which], canvas, first))
      return (found[name].reshape(*tokens.shape[:2], -1) for name in ("token", "log_prob", "ending"))

    found = DRAFTS["greedy"](best_after, drafts, np.minimum(most, longest), block=options["draft_block"],
                             positions=self._rows)
    return [[each] for each in found]

  def _canvas_width(self, ids, longest):
    return self._padded(longest, ids.shape[1]) if len(ids) == 1 else longest

  def _decode(self, ids, states, canvas, lengths, **more):
    """Returns the best tokens of each position and their log p, [R, T, K], of canvas int32 [R, T]."""
    found = self.networks["decoder"](**self._decoder_inputs(ids, states, canvas, lengths, **more))
    return found["token"], found["log_prob"]

  def _decoder_inputs(self, ids, states, canvas, lengths, **more):
    """Returns the inputs by name; for an autoregressive model `lengths` has the first positions to predict."""
    return self._inputs(ids) | more | {
      "states": states, "canvas": canvas, "lengths": lengths.astype(np.int32),
      "source": np.repeat(ids, len(lengths) // len(ids), 0)}


def _before(tokens):
  """int32 [B, T] -> the token before each, -1 before the first."""
  return np.pad(tokens, [[0, 0], [1, 0]], constant_values=-1)[:, :-1]


def _ranked(score, translations):
  """Returns for each sentence the list of (score, tokens), best first; score [B, N], translations has R rows."""
  count = score.shape[1]
  return [[(row[n], translations[number * count + n]) for n in np.argsort(-row, kind="stable")]
          for number, row in enumerate(score)]


def main() -> None:
  translate = Translator(os.path.dirname(os.path.abspath(__file__)))
  for line in sys.stdin:
    print(translate([line.rstrip("\n")])[0], flush=True)


if __name__ == "__main__":
  main()
