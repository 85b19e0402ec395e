// What this browser keeps: conversations and settings. Nothing of it goes anywhere but into requests to this service.

const KEY = "mynah";
const MOST = 100;

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const conversations = (Array.isArray(found.conversations) ? found.conversations : []).filter(
      (one) => one && typeof one.id === "string" && Array.isArray(one.messages),
    );
    return { conversations, now: found.now ?? null, settings: found.settings ?? {} };
  } catch {
    return { conversations: [], now: null, settings: {} };
  }
}

const kept = read();

export const settings = {
  language: (navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en",
  theme: "auto", model: "", answers: "", system: "", temperature: "", maxTokens: "", ...kept.settings,
};
export let conversations = kept.conversations;
let now = kept.now;

export function save() {
  // The oldest go first where the browser has no more room.
  conversations = conversations.slice(0, MOST);
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      localStorage.setItem(KEY, JSON.stringify({ conversations, now, settings }));
      return;
    } catch {
      if (conversations.length < 2) return;
      conversations = conversations.slice(0, -1);
    }
  }
}

export function current() {
  return conversations.find((one) => one.id === now) ?? null;
}

export function choose(id) {
  now = id;
  save();
}

export function begin() {
  const made = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, messages: [] };
  conversations = [made, ...conversations];
  now = made.id;
  return made;
}

// Another window of this browser has saved: what it has of each conversation is the newer, but of those under way here.
export function whenChanged(told) {
  const waits = (one) => one.messages.some((message) => message.state === "waiting");
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    const found = read();
    const mine = new Map(conversations.map((one) => [one.id, one]));
    const theirs = found.conversations.map((one) => {
      const own = mine.get(one.id);
      mine.delete(one.id);
      return own && (waits(own) || JSON.stringify(own) === JSON.stringify(one)) ? own : one;
    });
    conversations = [...[...mine.values()].filter(waits), ...theirs];
    if (!current()) now = null;
    Object.assign(settings, found.settings);
    told();
  });
}

export function remove(id) {
  conversations = conversations.filter((one) => one.id !== id);
  if (now === id) now = null;
  save();
}
