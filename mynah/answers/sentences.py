"""What the bot says of itself, in English and Chinese; never a fact of anybody's business."""

from __future__ import annotations

from mynah.data.language import language_of

HAND_OVER = {
    "en": "I'm not sure about that, and I'd rather not guess. A colleague can help you.",
    "zh": "这个我不确定，不想乱说。请稍等，由同事来帮您。",
}
DO_YOU_MEAN = {"en": "Do you mean “{first}” or “{second}”?", "zh": "您是想问“{first}”，还是“{second}”？"}
#: Where the log has no reply of its own to a greeting and the like.
SMALL_TALK = {
    "en": {
        "greeting": "Hello! How can I help you?",
        "thanks": "You're welcome!",
        "bye": "Goodbye, take care!",
        "how_are_you": "I'm doing fine, thank you. How can I help?",
        "who": "I'm an automatic assistant, not a person. I answer from what I have learned, and say so where I can't.",
        "ok": "All right. Is there anything else?",
        "praise": "Thank you, that's kind of you!",
        "complaint": "I'm sorry that I couldn't help. A colleague can take it from here.",
        "mood": "I'm sorry to hear that. If there is something I can help with, just tell me.",
        "laugh": "Glad you're in a good mood! Is there anything I can help with?",
        "sorry": "No problem at all. How can I help?",
    },
    "zh": {
        "greeting": "您好！请问有什么可以帮您？",
        "thanks": "不客气！",
        "bye": "再见，祝您一切顺利！",
        "how_are_you": "我很好，谢谢关心。请问有什么可以帮您？",
        "who": "我是自动助手，不是真人。我只根据学过的内容回答，不知道的会直说。",
        "ok": "好的。还有什么可以帮您吗？",
        "praise": "谢谢夸奖！",
        "complaint": "很抱歉没能帮到您，我请同事来继续为您处理。",
        "mood": "听您这么说很抱歉。有什么我能帮上的，请告诉我。",
        "laugh": "您开心就好！还有什么可以帮您吗？",
        "sorry": "没关系的。请问有什么可以帮您？",
    },
}


def language_for(text: str) -> str:
    """Return the language to reply to a text in: "zh", or "en" for every other one."""
    return "zh" if language_of(text).code in ("zh", "yue", "wuu") or _mostly_han(text) else "en"


def _mostly_han(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return bool(letters) and 2 * sum("\u3400" <= c <= "\u9fff" for c in letters) > len(letters)
