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
        "Of {count} held-out questions the bot answers {accuracy} with the right facts; a TF-IDF lookup of "
        "the most similar known question gets {lookup}.",
        "{count} 个留出问题中，机器人答对事实的占 {accuracy}；用 TF-IDF 查找最相似的已知问题为 {lookup}。",
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
    "samples": ("Samples", "示例"),
    "plan": ("Why this model", "模型的选择"),
    "parameters": ("{count} parameters.", "{count} 个参数。"),
    "timings": ("Time and memory", "时间与内存"),
    "stage": ("stage", "阶段"),
    "time": ("time", "时间"),
    "memory": ("peak memory", "内存峰值"),
    "total": ("total", "合计"),
}
