// What the page says, in both languages.

const WORDS = {
  en: {
    skip: "To the message field", model: "Model", report: "Report", settings: "Settings", conversations: "Conversations",
    conversation: "Conversation", new: "New conversation", welcome: "What would you like to know?",
    welcomeLog: "Replies come from the log that this model has read, with their source; what it does not know, it hands over to a person.",
    welcomeNetwork: "This model speaks in its own words: what it says may be wrong.",
    message: "Your message", send: "Send", stop: "Stop", fine: "What you write goes to this service and nowhere else. Conversations are kept in this browser; opinions of replies are kept by the service.",
    close: "Close", language: "Language", theme: "Colours", themeAuto: "As the system has them", themeLight: "Light", themeDark: "Dark",
    answers: "Where replies come from", answersRun: "As the model was built", answersGrounded: "The log, slots filled in",
    answersStrict: "The log, word for word", answersFree: "The log where it is sure, else the network", answersNetwork: "The network alone",
    system: "System message (for the network's own words)", temperature: "Temperature", maxTokens: "Longest reply, tokens",
    export: "Export this conversation", user: "You", assistant: "Mynah", copy: "Copy", copied: "Copied", edit: "Edit", again: "Again",
    good: "Good", bad: "Not good", correct: "Correct", correctAsk: "What should the reply have been?", thanks: "Thank you: kept for mynah teach.",
    why: "Why these words", sources: (n) => (n === 1 ? "1 source" : `${n} sources`), sure: (p) => `${p} % sure`, fromNetwork: "in the network's own words",
    handedOver: "handed over to a person", stopped: "stopped", remove: "Remove", untitled: "New conversation", asked: "asked there",
    gone: "The service cannot be reached; what you have written stays. Trying again …", back: "The service is back.",
    needsKey: "A key is needed: load this page anew, and give it as the password.", none: "No reply came.",
    whyMore: "Each word by how surprising it was to the network: the stronger its colour, the less it was expected. Choose one.",
    surprise: (p) => `the network gave it ${p}`, network: "The network", ngram: "The n-gram model of the same text", loading: "Looking …",
    noModels: "This service has no models.",
  },
  zh: {
    skip: "跳到输入框", model: "模型", report: "报告", settings: "设置", conversations: "对话列表", conversation: "对话", new: "新对话",
    welcome: "想问点什么？", welcomeLog: "回答来自模型读过的聊天记录，并注明出处；不知道的会转给人工。",
    welcomeNetwork: "这个模型用自己的话回答，可能会说错。",
    message: "输入消息", send: "发送", stop: "停止", fine: "你写的内容只发给这个服务。对话保存在这个浏览器里；对回答的评价由服务保存。",
    close: "关闭", language: "语言", theme: "颜色", themeAuto: "跟随系统", themeLight: "浅色", themeDark: "深色",
    answers: "回答从哪里来", answersRun: "按模型构建时的设置", answersGrounded: "聊天记录，自动填入姓名、单号等内容", answersStrict: "聊天记录，一字不改",
    answersFree: "有把握时用聊天记录，否则由模型自己回答", answersNetwork: "只由模型自己回答",
    system: "系统消息（用于模型自己的回答）", temperature: "温度", maxTokens: "回答长度上限（词元）",
    export: "导出这段对话", user: "你", assistant: "Mynah", copy: "复制", copied: "已复制", edit: "修改", again: "重新回答",
    good: "好", bad: "不好", correct: "改正", correctAsk: "应该怎样回答？", thanks: "谢谢，已记下，可用 mynah teach 学习。",
    why: "为什么这样说", sources: (n) => `${n} 个出处`, sure: (p) => `把握 ${p} %`, fromNetwork: "模型自己的话",
    handedOver: "已转给人工", stopped: "已停止", remove: "删除", untitled: "新对话", asked: "原来的问题",
    gone: "连不上服务，已写的内容不会丢失，正在重试……", back: "服务恢复了。",
    needsKey: "需要密钥：请重新打开本页，并作为密码输入。", none: "没有收到回答。",
    whyMore: "颜色越重，模型越没有料到这个词。点一个词看看。",
    surprise: (p) => `模型给它的概率是 ${p}`, network: "模型", ngram: "同一文本的 n-gram 模型", loading: "查询中……",
    noModels: "这个服务没有模型。",
  },
};

let language = "en";

export function say(name, ...values) {
  const found = WORDS[language][name];
  return typeof found === "function" ? found(...values) : found;
}

export function speak(wanted, root = document) {
  language = wanted in WORDS ? wanted : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const element of root.querySelectorAll("[data-placeholder]")) element.placeholder = say(element.dataset.placeholder);
}
