"""The phrases of a classifier's report, each in English and Chinese."""

from __future__ import annotations

CLASS_WORDS: dict[str, tuple[str, str]] = {
    "better": (
        "Of {count} held-out texts {accuracy} get the right class (macro-F1 {f1}). Always saying the most frequent "
        "class would be right for {majority}.",
        "{count} 条留出文本中 {accuracy} 分类正确（宏平均 F1 {f1}）。总是回答最常见的类别则为 {majority}。",
    ),
    "no_better": (
        "Of {count} held-out texts {accuracy} get the right class; always saying the most frequent class would be "
        "right for {majority}: nothing was learned. Give it more rows, or look at the labels.",
        "{count} 条留出文本中 {accuracy} 分类正确；总是回答最常见的类别则为 {majority}："
        "等于没有学到。请提供更多数据，或检查标签。",
    ),
    "not_measured": (
        "No text was held out whose class is known: nothing could be measured. Give it more rows.",
        "没有可用于评测的留出文本，请提供更多数据。",
    ),
    "classes": ("Classes", "类别"),
    "class": ("class", "类别"),
    "rows": ("rows", "条数"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "f1": ("F1", "F1"),
    "roc": ("ROC area", "ROC 面积"),
    "pr": ("PR area", "PR 面积"),
    "held_out_rows": ("held out", "留出"),
    "rare": (
        "{rows} rows were left out because their class has no other row: {names}",
        "{rows} 条因类别仅有一条而未使用：{names}",
    ),
    "unknown": (
        "{count} held-out rows are of classes that no row to learn from has; they are not measured.",
        "{count} 条留出文本的类别在训练数据中没有出现，未计入评测。",
    ),
    "ways": ("Ways to tell them apart", "分类方法比较"),
    "way": ("way", "方法"),
    "unseen": ("macro-F1, rows not seen", "宏平均 F1（未见过的训练行）"),
    "held": ("macro-F1, held out", "宏平均 F1（留出）"),
    "accuracy": ("accuracy", "准确率"),
    "log_loss": ("log loss", "对数损失"),
    "majority": ("the most frequent class", "最常见类别"),
    "words": ("words: TF-IDF and logistic regression", "词：TF-IDF 与逻辑回归"),
    "states": ("states of the base beside words", "基座模型状态加词"),
    "ngrams": ("n-gram models of the classes", "各类别的 n 元模型"),
    "label_text": ("the label as text, said by the base", "由基座说出标签文本"),
    "head": ("a tuned head over the base", "在基座上微调的分类头"),
    "augmented": (", with rows made from rows", "，加入增广数据"),
    "balanced": (", classes of equal weight", "，各类权重相同"),
    "taken": ("Taken: {way}, {reason}. {base}.", "选用：{way}，{reason}。{base}。"),
    "surely": (
        "Probabilities are off by {ece} on average (ECE). A text whose surest class is below {threshold} counts as "
        "none of the classes; that is so for {share} of the held-out texts, all of which are of one.",
        "概率平均偏差 {ece}（ECE）。最高概率低于 {threshold} 的文本视为不属于任何类别；"
        "留出文本（均有类别）中有 {share} 如此。",
    ),
    "order": (
        "The classes are numbers: the median class said is {error} off on average, {one_off} are at most one class off "
        "(quadratic weighted kappa {kappa}).",
        "类别是数值：所判类别的中位数平均偏差 {error}，{one_off} 的文本最多相差一级（二次加权 kappa {kappa}）。",
    ),
    "several": (
        "A text may be of several classes: accuracy counts texts all of whose classes are right; F1 over all that is "
        "said (micro) is {f1}.",
        "一条文本可属于多个类别：准确率只计所有类别都正确的文本；对全部判断计的 F1（微平均）为 {f1}。",
    ),
    "confused": ("What is taken for what", "混淆情况"),
    "is": ("is", "实际"),
    "said": ("taken for", "判为"),
    "times": ("times", "次数"),
    "mistakes": ("Mistakes worth reading", "值得一看的错误"),
    "doubts": ("Labels that look wrong", "可疑的标签"),
    "doubts_note": (
        "Models that had not seen these rows are sure of another class: {count} of {asked} rows.",
        "未见过这些行的模型确信它们属于别的类别：{asked} 行中的 {count} 行。",
    ),
    "place": ("place", "位置"),
    "text": ("text", "文本"),
    "label": ("label", "标签"),
    "looks": ("looks like", "更像"),
    "sure": ("how sure", "把握"),
}
