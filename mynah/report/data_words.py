"""The data report's phrases, each in English and Chinese, and the element that shows one of the two."""

from __future__ import annotations

import html
from typing import Any

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Data report", "数据报告"),
    "what": ("what", "项目"),
    "count": ("count", "数量"),
    "sources": ("Sources", "来源"),
    "left_out": ("Passed over", "略过的文件"),
    "records": ("Records", "记录"),
    "conversation": ("conversations", "对话"),
    "document": ("texts without speakers", "无说话人的文本"),
    "labelled": ("texts with a class", "带类别的文本"),
    "pair": ("pairs of texts", "双语文本对"),
    "preference": ("preferences between replies", "回复偏好"),
    "characters": ("characters", "字符"),
    "replies": ("replies of the assistant", "助手的回复"),
    "distinct": ("of them distinct", "其中互不相同"),
    "account": ("What was done to the records", "对记录的处理"),
    "action": ("action", "操作"),
    "step": ("step", "步骤"),
    "reason": ("reason", "原因"),
    "where": ("for example", "例如"),
    "dropped": ("dropped", "丢弃"),
    "changed": ("changed", "修改"),
    "warned": ("warned of", "警告"),
    "before_after": ("Before and after", "修改前后"),
    "lengths": ("Characters a record", "每条记录的字符数"),
    "turns": ("Turns a conversation", "每段对话的轮数"),
    "languages": ("Languages", "语言"),
    "speakers": ("Speakers ({count} in all)", "说话人（共 {count} 位）"),
    "labels": ("Classes", "类别"),
    "months": ("Messages a month", "每月消息数"),
    "duplicates": ("Records that repeated others", "重复的记录"),
    "personal": ("Personal data in the first {count} characters", "前 {count} 个字符中的个人信息"),
    "names_found": (
        "Of names in running English text about four in five are found (of whole names seven in eight), one in seven "
        "found is none; in letters and forms more. Read some texts before you pass them on.",
        "在连贯的英文文本中，约五分之四的人名能被识别（完整姓名为八分之七），识别结果中约七分之一并非人名；"
        "信件和表单中更准确。转交他人之前请抽查。",
    ),
    "nothing": ("none found", "未发现"),
    "examples": ("Examples", "示例"),
}


def bilingual(words: tuple[str, str], **values: Any) -> str:
    """Return a phrase in both languages as HTML; the page's style shows one of them."""
    english, chinese = words
    escaped = {key: html.escape(str(value)) for key, value in values.items()}
    return (
        f"<span class=en>{english.format(**escaped)}</span>"
        f"<span class=zh lang=zh>{chinese.format(**escaped)}</span>"
    )


def say(key: str, **values: Any) -> str:
    """Return a phrase of this report by its key."""
    return bilingual(WORDS[key], **values)
