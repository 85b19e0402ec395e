"""The report's phrases, each in English and Chinese."""

from __future__ import annotations

WORDS: dict[str, tuple[str, str]] = {
    "beats": (
        "The network reaches {network} bits per held-out byte; the n-gram model of order {order}, counted on "
        "the same tokens, reaches {ngram}. The network is the better model of this text.",
        "神经网络在留出文本上每字节 {network} 比特；"
        "用同样词元统计的 {order} 元模型为 {ngram}。神经网络更好。",
    ),
    "loses": (
        "The network reaches {network} bits per held-out byte and does not beat the n-gram model of order "
        "{order} ({ngram}). It has learned too little: give it more time (--minutes), more text, or a "
        "trained model to start from (--base).",
        "神经网络在留出文本上每字节 {network} 比特，未能超过 {order} 元模型（{ngram}）。"
        "它学得还不够：请给更多时间（--minutes）、更多文本，或从训练好的模型开始（--base）。",
    ),
    "loses_over_base": (
        "The network reaches {network} bits per held-out byte and does not beat the n-gram model of order "
        "{order} ({ngram}). It has learned too little: give it more time (--minutes) or more text.",
        "神经网络在留出文本上每字节 {network} 比特，未能超过 {order} 元模型（{ngram}）。"
        "它学得还不够：请给更多时间（--minutes）或更多文本。",
    ),
    "general_text": (
        "A general text that is not of the log takes {before} bits a byte before and {after} after fine-tuning: "
        "the difference is what was forgotten.",
        "与日志无关的通用文本在微调前每字节需要 {before} 比特，微调后 {after}：差值即遗忘的部分。",
    ),
    "on_replies": (
        "Only replies were learned, on top of an open base, and only they are compared; the base as it came needs "
        "{base}.",
        "仅在开放基座之上学习了回复，也仅比较回复；未经训练的基座为 {base}。",
    ),
    "questions_line": (
        "Of {count} held-out questions the network alone answers {accuracy} with the right facts; the best lookup of "
        "the most similar known question gets {lookup}.",
        "{count} 个留出问题中，仅靠网络答对事实的占 {accuracy}；查找最相似已知问题的最好方法为 {lookup}。",
    ),
    "data": ("Data", "数据"),
    "data_details": ("What was read, dropped, changed, and what is left", "读入、丢弃、修改与保留的内容"),
    "what": ("what", "项目"),
    "count": ("count", "数量"),
    "rows_read": ("rows read", "读入行数"),
    "conversation": ("conversations", "对话"),
    "document": ("texts without speakers", "无说话人的文本"),
    "labelled": ("texts with a class", "带类别的文本"),
    "pair": ("pairs of texts", "双语文本对"),
    "preference": ("preferences between replies", "回复偏好"),
    "rejected": ("rows rejected", "拒收行"),
    "changed": ("texts changed by: ", "被清洗修改的文本："),
    "dropped": ("records dropped: ", "被丢弃的记录："),
    "train": ("records to learn from", "用于训练的记录"),
    "held_out": ("records held out", "留出的记录"),
    "tokens": ("tokens to learn from", "用于训练的词元"),
    "reason": ("rejected because", "拒收原因"),
    "where": ("for example", "例如"),
    "scores": ("How well the text is predicted", "对文本的预测"),
    "held_out_note": (
        "Measured on {records} held-out records, {tokens} tokens. Bits per byte: lower is better.",
        "在 {records} 条留出记录（{tokens} 个词元）上测量。每字节比特数越低越好。",
    ),
    "model": ("model", "模型"),
    "measured_on": ("measured on", "测量范围"),
    "bpb": ("bits per byte", "每字节比特"),
    "perplexity": ("perplexity", "困惑度"),
    "accuracy": ("next token right", "下一词元准确率"),
    "ngram": ("n-gram (Kneser-Ney)", "n 元模型（Kneser-Ney）"),
    "base": ("network, pretrained", "预训练网络"),
    "chat": ("network, fine-tuned", "微调后网络"),
    "untouched": ("open model, as it came", "开放模型（未训练）"),
    "adapted": ("open model, fine-tuned", "开放模型（微调后）"),
    "all": ("all text", "全部文本"),
    "replies": ("replies only", "仅回复"),
    "not_compared_learned": (
        "{name} is not compared: it has learned {count} of the records held out here.",
        "未与 {name} 比较：它学过此处留出的 {count} 条记录。",
    ),
    "not_compared_unsaid": (
        "{name} is not compared: its chat template cannot say {count} of the records as they are.",
        "未与 {name} 比较：其对话模板无法原样表示其中 {count} 条记录。",
    ),
    "by_order": ("n-gram models by order", "各阶 n 元模型"),
    "ngram_order": ("order {order}", "{order} 元"),
    "questions": ("Questions with known answers", "已知答案的问题"),
    "wrong": ("{count} wrong replies", "{count} 个错误回复"),
    "question": ("question", "问题"),
    "prompt": ("held-out prompt", "留出的提示"),
    "reply": ("Mynah", "Mynah"),
    "expected": ("in the log", "日志原文"),
    "curves": ("Training", "训练"),
    "pretrain": ("On all text", "全部文本"),
    "tune": ("On replies", "仅回复"),
    "prefer": ("On better and worse replies", "较好与较差的回复"),
    "preferences": ("Better and worse replies", "较好与较差的回复"),
    "preferences_read": (
        "{read} of {pairs} pairs of better and worse replies were learned from, after the better ones.",
        "先学习较好的回复，再从 {pairs} 对较好与较差的回复中学习了 {read} 对。",
    ),
    "preferences_held_out": (
        "Of {count} pairs that were held out, the better reply gained more than the worse one in {reward}. It is the "
        "likelier of the two, a token, in {after}; before, in {before}.",
        "在 {count} 对留出的回复中，{reward} 的较好回复获得了更大的提升；"
        "按每词元计，较好回复更可能的占 {after}，此前为 {before}。",
    ),
    "writing": (
        "Of the runs of four tokens {repetition} stand in the same sample before; {distinct}. {copied} of the tokens "
        "stand in a run of ten that the training text holds, at most {longest} on end (mynah generate --no-copy N "
        "blocks such runs).",
        "{repetition} 的四词元片段在同一样本中重复出现；{distinct}。{copied} "
        "的词元处于训练文本中也有的连续十词元片段，"
        "最长 {longest} 个（mynah generate --no-copy N 可阻止照抄）。",
    ),
    "long": ("Longer than a row", "超出上下文长度的记录"),
    "long_split": (
        "{count} of {records} records are longer than the {context} tokens of a row: they are learned in pieces that "
        "overlap by half, and every reply counts once (plan.tune.long = split; cut or drop are the other choices).",
        "{records} 条记录中有 {count} 条超过 {context} 个词元：切成重叠一半的片段学习，每条回复各计一次"
        "（plan.tune.long = split；也可选 cut 或 drop）。",
    ),
    "long_cut": (
        "{count} of {records} records are longer than the {context} tokens of a row: their oldest turns are cut off, "
        "and replies among them are not learned (plan.tune.long = cut).",
        "{records} 条记录中有 {count} 条超过 {context} 个词元：最早的对话轮被截去，"
        "其中的回复不再学习（plan.tune.long = cut）。",
    ),
    "long_drop": (
        "{count} of {records} records are longer than the {context} tokens of a row and are left out "
        "(plan.tune.long = "
        "drop).",
        "{records} 条记录中有 {count} 条超过 {context} 个词元，未使用（plan.tune.long = drop）。",
    ),
    "place": ("where", "位置"),
    "tokens_of": ("tokens", "词元数"),
    "counted": ("of replies", "其中回复"),
    "samples": ("Samples", "示例"),
    "plan": ("Why this model", "模型的选择"),
    "parameters": ("{count} parameters.", "{count} 个参数。"),
    "timings": ("Time and memory", "时间与内存"),
    "reproduce": ("The same again", "重新得到同样的结果"),
    "again": (
        "{command} makes the same, to the same bits on the same kind of machine: the recipe beside this page holds "
        "every "
        "setting, the seed is {seed}, and each folder's manifest.json the hashes of what went in and came out.",
        "{command} 会得到同样的结果（同类机器上逐位相同）：本页旁的配方含全部设置，种子为 {seed}，各目录的 "
        "manifest.json 记录输入与输出的哈希。",
    ),
    "stage": ("stage", "阶段"),
    "time": ("time", "时间"),
    "memory": ("peak memory", "内存峰值"),
    "total": ("total", "合计"),
}

#: The section on answers.
ANSWERS: dict[str, tuple[str, str]] = {
    "answers": ("What it can answer", "能回答什么"),
    "answers_from": (
        "The bot answers from {exchanges} exchanges of the log with {replies} distinct replies.",
        "机器人依据日志中的 {exchanges} 组问答（{replies} 种不同的回复）作答。",
    ),
    "mode_grounded": (
        "It says only what stands in the log, and hands over where it does not know.",
        "它只说日志里有的内容，不知道时转交人工。",
    ),
    "mode_strict": (
        "It gives replies of the log word for word, and hands over where it does not know.",
        "它只逐字给出日志里的回复，不知道时转交人工。",
    ),
    "mode_free": (
        "Where the log is sure it answers from it; else the network replies in its own words.",
        "日志足够确定时依据日志作答，否则由网络自行回复。",
    ),
    "never_sure": (
        "What the log says is too different from time to time to be sure of any reply.",
        "日志中的回复差异太大，没有足够确定的回复。",
    ),
    "coverage": (
        "Of {count} held-out questions it answers {answered}; of {outside} messages that no log answers it lets "
        "{let_in} pass. Of what it states, {wrong} is wrong; what says the same in other words may be taken for it.",
        "在 {count} 个留出问题中它回答 {answered}；在 {outside} 条任何日志都答不了的消息中放过 {let_in}。"
        "它所陈述的内容约有 {wrong} 是错的（换了说法的正确回复也可能被算作错）。",
    ),
    "reliability": (
        "Above: how often replies of about one probability are right; the expected calibration error is {ece}.",
        "上图：相近概率的回复有多少是对的；期望校准误差为 {ece}。",
    ),
    "asked_known": (
        "Of {count} questions with known answers it answers {answered}, {right} of these with the right facts; to "
        "{back} it asks back.",
        "{count} 个已知答案的问题中它回答 {answered}，其中 {right} 事实正确；{back} 个反问。",
    ),
    "asked_unknown": (
        "Of {count} questions that the log does not answer, {silent} are handed over or asked back.",
        "{count} 个日志答不了的问题中，{silent} 转交人工或反问。",
    ),
    "contradictions": ("{count} pairs of replies contradict each other", "{count} 对回复互相矛盾"),
    "older": ("one reply", "一条回复"),
    "newer": ("the other", "另一条"),
    "holds": ("what holds", "以哪条为准"),
    "newer_holds": (
        "the second, it is newer; the first is given no more",
        "后者更新，以后者为准；前者不再给出",
    ),
    "undated": ("no dates: both are given", "没有日期：两条都会给出"),
    "question": ("question", "问题"),
    "said": ("the bot", "机器人"),
    "expected": ("in the log", "日志原文"),
    "misled": ("misled by", "误导它的日志行"),
    "wrong": ("{count} wrong replies", "{count} 个错误回复"),
    "lookup": ("the reply to the likest known question, by", "最相似的已知问题的回复，按"),
    "lookup_right": ("right", "正确"),
    "lookup_words": ("TF-IDF of words", "词 TF-IDF"),
    "lookup_characters": ("TF-IDF of characters", "字符 TF-IDF"),
    "lookup_bm25": ("BM25", "BM25"),
}

#: The first screen.
FIRST: dict[str, tuple[str, str]] = {
    "answers": ("What can it answer, and how surely?", "它能回答什么，有多确定？"),
    "answered": (
        "It answers {answered} of {count} held-out questions from the log, and {right} of these answers are right. "
        "Of "
        "{outside} messages that no log answers it stays silent on {silent}, and hands over.",
        "在 {count} 个留出问题中，它依据日志回答 {answered}，其中 {right} 正确。"
        "在 {outside} 条任何日志都答不了的消息中，{silent} 不作回答而转交人工。",
    ),
    "coverage_note": (
        "The further right, the more it answers; the dot is where this bot stands (--wrong-at-most moves it).",
        "越靠右回答得越多；圆点是本机器人所在的位置（可用 --wrong-at-most 移动）。",
    ),
    "never_sure": (
        "It is sure of no reply: the log says too different things to alike questions. It hands over, or speaks in "
        "the "
        "network's own words.",
        "没有足够确定的回复：日志对相似问题的回答差异太大。它会转交人工，或由网络自行回复。",
    ),
    "writes": (
        "Of text that it has not read it foresees {right} of the tokens.",
        "对没有读过的文本，它能预见其中 {right} 的词元。",
    ),
    "simple": ("Is it better than simple things?", "它比简单的方法更好吗？"),
    "better": (
        "Yes: it needs {network} bits for each byte that it has not read; counting runs of {order} tokens needs "
        "{ngram}.",
        "是：未读过的文本每字节只需 {network} 比特；统计 {order} 元组需要 {ngram}。",
    ),
    "no_better": (
        "No: it needs {network} bits for each byte that it has not read, and counting runs of {order} tokens needs "
        "{ngram}.",
        "否：未读过的文本每字节需 {network} 比特，而统计 {order} 元组只需 {ngram}。",
    ),
    "lookup": (
        "Of {count} questions the network alone gets {network} right; looking up the most similar one, {lookup}.",
        "在 {count} 个问题上，仅靠网络答对 {network}；查找最相似问题为 {lookup}。",
    ),
    "bars_note": ("On the same held-out text, from above:", "在同样的留出文本上，自上而下："),
    "bar_ngram": ("counted n-grams", "n 元统计"),
    "bar_untouched": ("the open base as it came", "原样的开放基座"),
    "bar_base": ("the network after all text", "读完全部文本的网络"),
    "bar_chat": ("this model", "本模型"),
    "next": ("What to do next?", "接下来做什么？"),
    "nothing_wrong": (
        "Nothing is wrong that is looked for (mynah diagnose). What people ask and it cannot answer is the next "
        "thing to "
        "write: mynah chat --keep-unanswered, mynah unanswered.",
        "没有发现所检查的问题（mynah diagnose）。下一步是补写人们问到而它答不了的内容："
        "mynah chat --keep-unanswered，mynah unanswered。",
    ),
    "more": ("{count} more", "另有 {count} 项"),
    "places": ("where", "位置"),
}
