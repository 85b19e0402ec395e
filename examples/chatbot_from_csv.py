"""Train a small GPT-3-style model and a chatbot from the `text` column of a CSV file.

    python examples/chatbot_from_csv.py [FILE.csv]

Without a file it takes the bundled shop log. OpenAI never published GPT-3's weights, so both models start
from random ones and know nothing but these texts: expect a demonstration, not a conversation partner. For a
bot that answers, run `mynah build FILE.csv` instead, which learns from whole conversations.
"""

import sys
from importlib.resources import files

import pandas
from sklearn.model_selection import train_test_split

from mynah import GPT3, GPT3ChatBot, preprocess, stop_words

path = sys.argv[1] if len(sys.argv) > 1 else str(files("mynah") / "samples" / "shop_en.csv")
data = pandas.read_csv(path).head(400)

# Lower-cased words without stop words: what the classic tutorials do. For a model that is to write
# sentences, leave both out: it cannot use words it has never seen.
words_to_drop = stop_words("en")
data["processed_text"] = [preprocess(text, stop_words=words_to_drop) for text in data["text"]]

train_data, test_data = train_test_split(data, test_size=0.2, random_state=0)

model = GPT3.from_pretrained("gpt3")
model.train(train_data["processed_text"], epochs=10)

chat_bot = GPT3ChatBot.from_pretrained("gpt3")  # or from the model just trained: from_pretrained(model)
chat_bot.train(test_data["processed_text"], epochs=5)

for question in ("When will my parcel arrive?", "How do I send something back?"):
    print(">", question)
    print(chat_bot.chat(question, max_tokens=20))
