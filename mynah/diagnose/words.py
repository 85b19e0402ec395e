"""What findings say, in English and Chinese; names in braces are their values."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: English and Chinese.
Phrase = tuple[str, str]
Name = Literal[
    "not_a_number", "overfitting", "underfitting", "underfitting_over_base", "too_short", "rate_too_high",
    "rate_too_low", "spikes", "more_text_helps", "duplicates", "label_noise", "no_stop_learned", "template_in_text",
    "does_not_stop", "same_reply", "forgetting", "tokenizer", "dead_units",
]  # fmt: skip


class Words(NamedTuple):
    """What is wrong, and what to do."""

    what: Phrase
    next: Phrase


WORDS: dict[Name, Words] = {
    "not_a_number": Words(
        (
            "the loss is no number at step {step}: the network is broken from there on",
            "第 {step} 步的损失不是数值：此后网络已损坏",
        ),
        (
            "train again with half the rate ({rate:.3g}): --set plan.{phase}.learning_rate={half:.3g}",
            "把学习率减半（现为 {rate:.3g}）重新训练：--set plan.{phase}.learning_rate={half:.3g}",
        ),
    ),
    "overfitting": Words(
        (
            "overfitting since step {since} of {steps}: held-out loss has risen from {best:.3f} to {last:.3f}, "
            "while the "
            "training loss went on falling from {train_then:.3f} to {train:.3f}",
            "自第 {since} 步（共 {steps} 步）起过拟合：留出损失由 {best:.3f} 升至 {last:.3f}，"
            "而训练损失继续由 {train_then:.3f} 降至 {train:.3f}",
        ),
        (
            "the weights of step {since} were kept, so nothing is lost but time; more text helps most; or a smaller "
            "network (--size), or --set plan.{phase}.word_dropout=0.15",
            "已保留第 {since} 步的权重，损失的只是时间；最有帮助的是更多文本；"
            "或更小的网络（--size），或 --set plan.{phase}.word_dropout=0.15",
        ),
    ),
    "underfitting": Words(
        (
            "underfitting: {network:.3f} bits a held-out byte, while counting n-grams in the same text reaches "
            "{ngram:.3f}",
            "欠拟合：留出文本每字节 {network:.3f} 比特，而对同样文本统计 n 元组即可达到 {ngram:.3f}",
        ),
        (
            "give it more time (--minutes {minutes:g}), let it go on from the n-gram model (--prior ngram), or "
            "begin with "
            "an open base (mynah base list)",
            "给更多时间（--minutes {minutes:g}），让它接着 n 元模型学（--prior ngram），或从开放基座开始（mynah "
            "base list）",
        ),
    ),
    "underfitting_over_base": Words(
        (
            "underfitting: {network:.3f} bits a held-out byte, while counting n-grams in the same text reaches "
            "{ngram:.3f}",
            "欠拟合：留出文本每字节 {network:.3f} 比特，而对同样文本统计 n 元组即可达到 {ngram:.3f}",
        ),
        (
            "give it more time (--minutes {minutes:g}) or more text; a larger base may know more (mynah base list)",
            "给更多时间（--minutes {minutes:g}）或更多文本；更大的基座可能懂得更多（mynah base list）",
        ),
    ),
    "too_short": Words(
        (
            "ended too soon: the second half of training still took {second:.2f} nats off the loss, the first half "
            "{first:.2f}",
            "结束过早：训练后半程损失仍下降 {second:.2f} 纳特，前半程为 {first:.2f}",
        ),
        ("give it more time: --minutes {minutes:g}", "给更多时间：--minutes {minutes:g}"),
    ),
    "rate_too_high": Words(
        (
            "learning rate too high: the loss has gone up again from {low:.2f} (step {at}) to {high:.2f} (step {to})",
            "学习率过高：损失由 {low:.2f}（第 {at} 步）又升到 {high:.2f}（第 {to} 步）",
        ),
        (
            "a third of the rate ({rate:.3g}): --set plan.{phase}.learning_rate={third:.3g}",
            "把学习率降到三分之一（现为 {rate:.3g}）：--set plan.{phase}.learning_rate={third:.3g}",
        ),
    ),
    "rate_too_low": Words(
        (
            "learning rate too low: {rate:.3g}, where {usual:.3g} suits this network, and the loss falls as slowly "
            "at the end "
            "({second:.2f} nats in the second half) as at the beginning ({first:.2f} in the first)",
            "学习率过低：现为 {rate:.3g}，适合此网络的是 {usual:.3g}；损失在后半程（{second:.2f} "
            "纳特）与前半程（{first:.2f}）下降得同样慢",
        ),
        (
            "--set plan.{phase}.learning_rate={usual:.3g}, or leave it out: then it is chosen",
            "--set plan.{phase}.learning_rate={usual:.3g}，或不设：将自动选择",
        ),
    ),
    "spikes": Words(
        (
            "the loss jumps: {count} times by more than {least:.1f} nats, the first at step {first}",
            "损失跳变：有 {count} 次超过 {least:.1f} 纳特，首次在第 {first} 步",
        ),
        (
            "a lower rate ({rate:.3g} now) or a longer warm-up: --set plan.{phase}.warmup=0.1; look at the rows of "
            "those "
            "steps: mynah data show RUN",
            "降低学习率（现为 {rate:.3g}）或加长预热：--set plan.{phase}.warmup=0.1；并查看相应数据：mynah data "
            "show RUN",
        ),
    ),
    "more_text_helps": Words(
        (
            "too little text for its size: {tokens} tokens for {parameters} parameters, each seen {passes:.0f} "
            "times; by "
            "the n-gram model on halves and quarters of it, twice the text would lower {now:.2f} bits a byte to "
            "about "
            "{then:.2f}",
            "文本相对于模型太少：{tokens} 个词元对 {parameters} 个参数，每个看了 {passes:.0f} 遍；"
            "按 n 元模型在一半与四分之一文本上的结果推算，文本加倍可把每字节 {now:.2f} 比特降到约 {then:.2f}",
        ),
        (
            "more text of the same kind: mynah build OLD NEW; or an open base, which knows the language already",
            "加入更多同类文本：mynah build OLD NEW；或使用已懂该语言的开放基座",
        ),
    ),
    "duplicates": Words(
        (
            "{count} of {held_out} held-out records ({share:.0%}) stand in the training part, too, or nearly so: "
            "what is "
            "measured on them flatters",
            "{held_out} 条留出记录中有 {count} 条（{share:.0%}）在训练部分也有（或几乎相同）：在其上测得的结果偏好",
        ),
        (
            "split again so that what is alike stays together: --set split.alike=true, and remove repeats: "
            "--set clean.duplicates.exact=true",
            "重新切分，使相似记录在同一侧：--set split.alike=true，并去重：--set clean.duplicates.exact=true",
        ),
    ),
    "label_noise": Words(
        (
            "{count} of {rows} labels ({share:.1%}) look wrong: a model that has not seen the row is sure of "
            "another class",
            "{rows} 个标签中有 {count} 个（{share:.1%}）看来有误：没见过该行的模型确信是另一类",
        ),
        (
            "look at the places below, mend them in the file, and build again",
            "查看下列位置，在文件中改正后重新构建",
        ),
    ),
    "no_stop_learned": Words(
        (
            "{share:.0%} of the replies to learn from do not end with what ends a reply: the network will not stop",
            "用于学习的回复中有 {share:.0%} 没有结束符：网络将不会停下来",
        ),
        (
            "the chat template lacks its end, or replies are longer than a row: look at one: mynah tune FILE "
            "--show 1",
            "对话模板缺少结束符，或回复超过一行的长度：看一条：mynah tune FILE --show 1",
        ),
    ),
    "template_in_text": Words(
        (
            "{count} of {records} records hold the signs of a chat template as text ({sign}): they are learned as "
            "words",
            "{records} 条记录中有 {count} 条把对话模板的标记（{sign}）当作文字：它们会被当作词语学习",
        ),
        (
            "let Mynah take them apart: give the file itself to mynah build, not rendered text; or clean them out "
            "first",
            "让 Mynah 来拆分：直接把原始文件交给 mynah build，而不是渲染后的文本；或先清除这些标记",
        ),
    ),
    "does_not_stop": Words(
        (
            "{count} of {asked} replies of the network run on until they are cut off; those in the log have {usual} "
            "tokens",
            "网络的 {asked} 个回复中有 {count} 个一直写到被截断；日志中的回复约 {usual} 个词元",
        ),
        (
            "longer fine-tuning (--minutes), or look whether replies end in the data: mynah tune FILE --show 1",
            "延长微调（--minutes），或检查数据中回复是否有结束：mynah tune FILE --show 1",
        ),
    ),
    "same_reply": Words(
        (
            "the network says the same to {count} of {asked} different prompts: it has not learned to reply yet",
            "网络对 {asked} 个不同的提示中的 {count} 个给出同样的回复：它还没有学会作答",
        ),
        (
            "longer fine-tuning (--minutes); until then let it say only what stands in the log: mynah chat RUN "
            "--answers "
            "grounded",
            "延长微调（--minutes）；在此之前只让它说日志里有的内容：mynah chat RUN --answers grounded",
        ),
    ),
    "forgetting": Words(
        (
            "forgetting: a general text takes {after:.3f} bits a byte after fine-tuning, {before:.3f} before "
            "({more:.0%} "
            "more)",
            "遗忘：通用文本在微调后每字节 {after:.3f} 比特，之前为 {before:.3f}（多 {more:.0%}）",
        ),
        (
            "fewer steps or a lower rate: --set plan.{phase}.learning_rate={half:.3g}; an adapter forgets less than "
            "--full",
            "减少步数或降低学习率：--set plan.{phase}.learning_rate={half:.3g}；适配器比 --full 遗忘更少",
        ),
    ),
    "tokenizer": Words(
        (
            "the tokenizer splits this text badly: {own:.1f} bytes a token, where a vocabulary of {vocab_size} "
            "made from "
            "the text itself has {fresh:.1f}",
            "分词器不适合此文本：每词元 {own:.1f} 字节，而由该文本自身训练的 {vocab_size} 词表为 {fresh:.1f}",
        ),
        (
            "a base that knows the language (mynah base list), or from random weights with a vocabulary of its own: "
            "--base none",
            "使用懂该语言的基座（mynah base list），或随机初始化并用自己的词表：--base none",
        ),
    ),
    "dead_units": Words(
        (
            "{share:.0%} of the hidden units answer to nothing in {tokens} held-out tokens, most in block {block}",
            "在 {tokens} 个留出词元上，{share:.0%} 的隐藏单元从不激活，第 {block} 层最多",
        ),
        (
            "a lower rate or a longer warm-up keeps them alive: --set plan.pretrain.warmup=0.1; or take a smaller "
            "network",
            "降低学习率或加长预热可避免：--set plan.pretrain.warmup=0.1；或使用更小的网络",
        ),
    ),
}
