"""The phrases of a translator's report, each in English and Chinese."""

from __future__ import annotations

PAIR_WORDS: dict[str, tuple[str, str]] = {
    "better": (
        "{way}: BLEU {bleu} and chrF {chrf} on {count} pairs that it has not seen. Word by word, with a lexicon "
        "learned from the same pairs (IBM model 1), BLEU is {lexicon}.",
        "{way}：在 {count} 对未见过的句子上 BLEU {bleu}，chrF {chrf}。"
        "用同样数据学到的词典逐词翻译（IBM 模型 1）BLEU 为 {lexicon}。",
    ),
    "no_better": (
        "{way}: BLEU {bleu} and chrF {chrf} on {count} pairs that it has not seen: no better than word by word with a "
        "lexicon (IBM model 1: BLEU {lexicon}). Give it more minutes, or more pairs.",
        "{way}：在 {count} 对未见过的句子上 BLEU {bleu}，chrF {chrf}，"
        "不比用词典逐词翻译好（IBM 模型 1：BLEU {lexicon}）。"
        "请给更多时间或更多数据。",
    ),
    "not_measured": (
        "No pair was held out: nothing could be measured. Give it more pairs.",
        "没有留出的句对，无法评测。请提供更多数据。",
    ),
    "way": ("how", "方法"),
    "model": ("this model, beam search", "本模型，束搜索"),
    "greedy": ("this model, always the likeliest token", "本模型，贪心解码"),
    "lexicon": ("word by word (IBM model 1)", "逐词翻译（IBM 模型 1）"),
    "copy": ("the source, copied", "照抄原文"),
    "by_heart": (
        "{share} of the translations stand word for word in the pairs that were learned.",
        "{share} 的译文与训练数据中的某句完全相同。",
    ),
    "samples": ("Translations drawn by chance", "随机抽取的译文"),
    "worst": ("The worst translations", "最差的译文"),
    "place": ("where", "位置"),
    "source": ("source", "原文"),
    "reference": ("reference", "参考译文"),
}
