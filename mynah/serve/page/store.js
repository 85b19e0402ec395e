// What this browser keeps: conversations and settings. Nothing of it goes anywhere but into requests to this service.
//
// Several windows keep the same: whoever writes takes over first what the others have written since.

const KEY = "mynah";
const MOST = 100;

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const list = (value) => (Array.isArray(value) ? value : []);
    return {
      conversations: list(found.conversations).filter(
        (one) => one && typeof one.id === "string" && Array.isArray(one.messages),
      ),
      removed: list(found.removed).filter((id) => typeof id === "string"),
      now: found.now ?? null,
      settings: found.settings ?? {},
    };
  } catch {
    return { conversations: [], removed: [], now: null, settings: {} };
  }
}

const kept = read();

export const settings = {
  language: (navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en",
  theme: "auto", model: "", answers: "", system: "", temperature: "", maxTokens: "", ...kept.settings,
};
export let conversations = kept.conversations;
let now = kept.now;
let removed = kept.removed;

// Conversations whose reply is being made here.
export const underWay = new Set();

// As each conversation was when it was last read or written: what differs from it was changed here.
const seen = new Map();
const noted = (one) => seen.set(one.id, JSON.stringify(one));

// No reply is under way in what was kept: the window was left, or it is another one that makes it.
function left(one) {
  for (const message of one.messages) if (message.state === "waiting") message.state = "stopped";
  noted(one);
  return one;
}
conversations.forEach(left);

function merge(found) {
  removed = [...new Set([...found.removed, ...removed])].slice(-2 * MOST);
  const mine = new Map(conversations.map((one) => [one.id, one]));
  const theirs = found.conversations.map((one) => {
    const own = mine.get(one.id);
    mine.delete(one.id);
    const changed = own && (underWay.has(own) || JSON.stringify(own) !== seen.get(own.id));
    return own && (changed || JSON.stringify(one) === seen.get(own.id)) ? own : left(one);
  });
  // The others are new here, or went where the browser had no more room.
  conversations = [...mine.values(), ...theirs].filter((one) => !removed.includes(one.id));
  if (!current()) now = null;
}

export function save() {
  merge(read());
  // The oldest go first where the browser has no more room.
  conversations = conversations.slice(0, MOST);
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      localStorage.setItem(KEY, JSON.stringify({ conversations, removed, now, settings }));
      conversations.forEach(noted);
      return;
    } catch {
      if (conversations.length < 2) return;
      conversations = conversations.slice(0, -1);
    }
  }
}

// Tell when another window has written, or this one has slept meanwhile.
export function whenChanged(told) {
  const take = () => {
    const found = read();
    merge(found);
    Object.assign(settings, found.settings);
    told();
  };
  addEventListener("storage", (event) => event.key === KEY && take());
  addEventListener("pageshow", (event) => event.persisted && take());
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

export function remove(id) {
  removed = [...removed, id];
  if (now === id) now = null;
  save();
}
