"""The phrases of the page that explains, each in English and Chinese."""

from __future__ import annotations

EXPLAIN_WORDS: dict[str, tuple[str, str]] = {
    "tokens": ("Word by word", "逐词元"),
    "tokens_note": (
        "The darker, the more the network was surprised, in bits; point at a token to see what it expected, and how "
        "surprised the n-gram model of the same text was.",
        "颜色越深，网络越感意外（比特）；指向词元可见它原本预期什么，以及同样文本的 n 元模型有多意外。",
    ),
    "why": ("Why “{token}”?", "为什么是“{token}”？"),
    "alternatives": ("What else might have stood there", "此处还可能是什么"),
    "integrated": ("What it hangs on, by gradients", "它取决于什么（梯度）"),
    "integrated_note": (
        "Integrated gradients of its logit: green speaks for it, red against it. They sum to the difference from a "
        "text "
        "whose words say nothing, {difference}, but for {missing} of it ({steps} steps).",
        "该词元 logit 的积分梯度：绿色支持，红色反对。其和为与“词语皆空泛的同一文本”之差 "
        "{difference}，误差 {missing}（{steps} 步）。",
    ),
    "left_out": ("What it hangs on, by leaving words out", "它取决于什么（逐一去掉）"),
    "left_out_note": (
        "By how many nats it becomes less likely without each part of the text.",
        "去掉文本的每一部分后，其概率降低多少（纳特）。",
    ),
    "contributions": ("What each part of the network adds", "网络各部分的贡献"),
    "contributions_note": (
        "To its logit, {total} in all: heads by layer, then each layer's MLP; the embedding adds {embedding}, biases "
        "{biases}.",
        "对其 logit（合计 {total}）的贡献：各层注意力头，然后是该层 MLP；嵌入贡献 {embedding}，偏置 {biases}。",
    ),
    "layer": ("layer", "层"),
    "head": ("head", "头"),
    "lens": ("What it would have said after each layer", "每一层之后它会说什么"),
    "lens_note": (
        "Were that layer the last one (the logit lens).",
        "假如该层是最后一层（logit lens）。",
    ),
    "attention": ("What it looks at", "它在看哪里"),
    "attention_note": (
        "From the place before it: of one head, of the mean of a layer, or rolled out over all layers.",
        "自它之前的位置：某一头、一层的平均，或在所有层上展开（rollout）。",
    ),
    "rollout": ("all layers (rollout)", "所有层（rollout）"),
    "mean": ("mean", "平均"),
    "patching": ("Where it is decided", "在哪里决定"),
    "patching_note": (
        "The text is exchanged for one that brings “{instead}”, and one state of the first is put back: how much "
        "of the way "
        "back to “{token}” it brings, by layer (from below) and place.",
        "把文本换成会得到“{instead}”的另一个，再把原来的一个状态放回：按层（自下而上）与位置，"
        "它恢复到“{token}”的程度。",
    ),
    "examples": ("What it has learned that is nearest", "它学过的最接近的例子"),
    "examples_note": (
        "Alike in words, and in what they taught the network: the cosine of the gradients of the last block; above "
        "0, "
        "learning it made this text likelier.",
        "文字相近，且教给网络的内容相近：最后一块梯度的余弦；大于 0 表示学习它使本文更可能。",
    ),
    "place": ("where", "位置"),
    "text": ("text", "文本"),
    "words": ("in words", "文字"),
    "gradient": ("by gradient", "梯度"),
    "answer": ("What the bot says, and why this reply", "机器人说什么，为何是这一条"),
    "answer_note": (
        "“{reply}” ({place}): right with a probability of {confidence}; it is said from {threshold} on.",
        "“{reply}”（{place}）：正确的概率为 {confidence}；达到 {threshold} 才会说出。",
    ),
    "next_note": (
        "The next one was “{reply}” ({place}). What spoke for the first and against it, in log-odds:",
        "其次是“{reply}”（{place}）。支持前者、反对后者的理由（对数几率）：",
    ),
    "judged_note": ("What speaks for its being right:", "支持其正确的理由："),
    "reason": ("reason", "理由"),
    "this": ("this", "此条"),
    "other": ("next", "其次"),
    "odds": ("log-odds", "对数几率"),
}
