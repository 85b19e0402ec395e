// The page: what is clicked, typed and shown.

import * as api from "/page/api.js";
import { markdown } from "/page/markdown.js";
import * as store from "/page/store.js";
import { showWhy } from "/page/why.js";
import { say, speak } from "/page/words.js";

const at = (id) => document.getElementById(id);
const { settings } = store;
let models = [];
let underWay = null; // of the reply that is being made, what gives it up

// ---- what is shown -------------------------------------------------------------------------------------------------

function button(word, act, pressed) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = say(word);
  made.dataset.word = word;
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", () => act(made));
  return made;
}

function span(text) {
  const made = document.createElement("span");
  made.textContent = text;
  return made;
}

function sourcesOf(message) {
  const made = document.createElement("details");
  made.lang = settings.language;
  made.append(document.createElement("summary"));
  made.firstChild.textContent = say("sources", message.sources.length);
  const list = document.createElement("ul");
  list.className = "sources";
  for (const source of message.sources) {
    const item = document.createElement("li");
    const place = document.createElement("code");
    place.textContent = source.place;
    item.append(place, span(`${source.time ? ` (${source.time.slice(0, 10)})` : ""} — ${say("asked")}: ${source.question}`));
    list.append(item);
  }
  made.append(list);
  return made;
}

// Articles that are there already stay: who hears the page read aloud hears what is new.
const shownAs = new WeakMap();

function articles(messages) {
  const list = at("messages");
  messages.forEach((message, number) => {
    let item = shownAs.get(message);
    if (!item) {
      item = show(message, number);
      shownAs.set(message, item);
    } else if (item.looks !== looks(message, number)) {
      fill(item, message, number);
    }
    if (list.children[number] !== item) list.insertBefore(item, list.children[number] ?? null);
  });
  while (list.children.length > messages.length) list.lastElementChild.remove();
}

function show(message, number) {
  const item = document.createElement("article");
  item.className = message.role;
  const who = document.createElement("span");
  who.className = "unseen";
  who.textContent = `${say(message.role)}:`;
  const said = document.createElement("div");
  said.className = "said";
  item.append(who, said);
  fill(item, message, number);
  return item;
}

// All that an article's look depends on: one that has not changed is left alone, and what is open in it stays open.
function looks(message, number) {
  const last = number === store.current()?.messages.length - 1;
  return JSON.stringify([message, last, settings.language, saidBy(message)?.id]);
}

function fill(item, message, number) {
  item.looks = looks(message, number);
  const said = item.querySelector(".said");
  const focused = item.contains(document.activeElement) ? document.activeElement.dataset.word : undefined;
  if (message.role === "user") said.textContent = message.content;
  else said.replaceChildren(markdown(message.content));
  item.classList.toggle("waiting", message.state === "waiting");
  item.classList.toggle("failed", message.state === "failed");
  item.classList.toggle("handed-over", Boolean(message.handed_over));
  item.querySelectorAll(".note").forEach((old) => old.remove());
  const opened = item.querySelector("details");
  if (opened && (opened.lang !== settings.language || !message.sources?.length)) opened.remove();
  if (message.state === "waiting") return;
  if (message.sources?.length && !item.querySelector("details")) item.append(sourcesOf(message));
  item.append(note(item, message, number));
  if (focused) item.querySelector(`[data-word="${focused}"]`)?.focus();
}

function note(item, message, number) {
  const made = document.createElement("div");
  made.className = "note";
  const last = number === store.current()?.messages.length - 1;
  if (message.state === "failed") made.append(span(message.error || say("none")));
  if (message.state === "stopped") made.append(span(say("stopped")));
  if (message.handed_over) made.append(span(say("handedOver")));
  else if (message.kind === "network" && message.content) made.append(span(say("fromNetwork")));
  else if (typeof message.confidence === "number") made.append(span(say("sure", Math.round(100 * message.confidence))));
  if (message.content) made.append(button("copy", (clicked) => copy(message.content, clicked)));
  if (message.role === "user") made.append(button("edit", () => edit(number)));
  if (message.role === "assistant") {
    if (last) made.append(button("again", again));
    if (message.content && saidBy(message)?.talks) made.append(button("why", () => why(number)));
    if (message.content && saidBy(message)?.feedback) {
      made.append(
        button("good", () => judge(item, number, true), message.judged === true),
        button("bad", () => judge(item, number, false), message.judged === false),
        button("correct", () => correct(item, number)),
      );
    }
  }
  return made;
}

function render() {
  const conversation = store.current();
  const messages = conversation?.messages ?? [];
  at("welcome").hidden = messages.length > 0;
  articles(messages);
  at("messages").scrollTop = at("messages").scrollHeight;
  at("conversations").replaceChildren(
    ...store.conversations.map((one) => {
      const item = document.createElement("li");
      item.classList.toggle("now", one === conversation);
      const open = document.createElement("button");
      open.type = "button";
      open.textContent = one.messages[0]?.content.slice(0, 60) || say("untitled");
      if (one === conversation) open.setAttribute("aria-current", "true");
      open.addEventListener("click", () => {
        stop();
        store.choose(one.id);
        openList(false);
        closeWhy();
        render();
      });
      const gone = document.createElement("button");
      gone.type = "button";
      gone.textContent = "✕";
      gone.setAttribute("aria-label", `${say("remove")}: ${open.textContent}`);
      gone.addEventListener("click", () => {
        if (one === store.current()) stop();
        store.remove(one.id);
        render();
      });
      item.append(open, gone);
      return item;
    }),
  );
  const found = model();
  at("welcome-more").textContent = say(found?.answers ? "welcomeLog" : "welcomeNetwork");
  at("report").hidden = !found?.report;
  if (found) at("report").href = `/runs/${encodeURIComponent(found.id)}/report`;
  at("answers-row").hidden = !found?.answers;
}

function model() {
  return models.find((one) => one.id === settings.model) ?? models[0];
}

// ---- talking -------------------------------------------------------------------------------------------------------

function history(conversation, until) {
  return conversation.messages
    .slice(0, until)
    .filter((one) => one.content && one.state !== "failed")
    .map(({ role, content }) => ({ role, content }));
}

function request(conversation, until) {
  const found = model();
  const own = ["network", "free"].includes(settings.answers || found.answers || "network");
  const system = own && settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  const body = { model: found.id, messages: [...system, ...history(conversation, until)] };
  if (settings.temperature !== "") body.temperature = Number(settings.temperature);
  if (settings.maxTokens !== "") body.max_tokens = Number(settings.maxTokens);
  if (found.answers && settings.answers) body.answers = settings.answers;
  return body;
}

async function respond(conversation) {
  const body = request(conversation, conversation.messages.length);
  const system = body.messages[0]?.role === "system" ? body.messages[0].content : "";
  const message = { role: "assistant", content: "", state: "waiting", model: body.model, system };
  conversation.messages.push(message);
  const number = conversation.messages.length - 1;
  const control = new AbortController();
  underWay = control;
  store.underWay.add(conversation);
  busy(true);
  render();
  const shown = () => store.current() === conversation;
  let drawn = false;
  const draw = () => {
    drawn = false;
    const item = at("messages").children[number];
    if (!shown() || !item) return;
    const list = at("messages");
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
    fill(item, message, number);
    if (follows) list.scrollTop = list.scrollHeight;
  };
  try {
    for await (const delta of api.reply(body, control.signal)) {
      if (delta.content) message.content += delta.content;
      for (const name of ["sources", "confidence", "handed_over", "kind"]) {
        if (delta[name] !== undefined) message[name] = delta[name];
      }
      if (!drawn) {
        drawn = true;
        requestAnimationFrame(draw);
      }
    }
    delete message.state;
  } catch (error) {
    if (control.signal.aborted) {
      message.state = "stopped";
    } else {
      message.state = "failed";
      message.error = error.status === 401 ? say("needsKey") : error.status ? error.message : say("none");
      if (!(error.status > 0)) watch();
    }
  }
  if (underWay === control) {
    underWay = null;
    busy(false);
  }
  store.underWay.delete(conversation);
  store.save();
  if (!shown()) return;
  render();
  if (document.activeElement === document.body) at("message").focus();
}

function busy(is) {
  at("send").hidden = is;
  at("stop").hidden = !is;
  at("messages").setAttribute("aria-busy", String(is));
}

function stop() {
  underWay?.abort();
  underWay = null;
  busy(false);
}

function ask(text) {
  if (!model() || underWay) return;
  const conversation = store.current() ?? store.begin();
  conversation.messages.push({ role: "user", content: text });
  store.save();
  closeWhy();
  respond(conversation);
}

function again() {
  const conversation = store.current();
  if (underWay || !conversation) return;
  while (conversation.messages.at(-1)?.role === "assistant") conversation.messages.pop();
  respond(conversation);
}

function edit(number) {
  stop();
  const conversation = store.current();
  at("message").value = conversation.messages[number].content;
  conversation.messages.length = number;
  store.save();
  render();
  at("message").focus();
}

// ---- about a reply -------------------------------------------------------------------------------------------------

async function copy(text, clicked) {
  await navigator.clipboard.writeText(text).catch(() => {});
  clicked.textContent = say("copied");
}

// The model that said it, though another may be chosen by now, and what it was told beforehand.
function saidBy(message) {
  return models.find((one) => one.id === message.model) ?? model();
}

async function why(number) {
  const conversation = store.current();
  const message = conversation.messages[number];
  const system = message.system ? [{ role: "system", content: message.system }] : [];
  at("why-title").textContent = say("why");
  at("why").hidden = false;
  at("why").focus();
  try {
    await showWhy(at("why-body"), saidBy(message).id, [...system, ...history(conversation, number)], message.content);
  } catch (error) {
    at("why-body").textContent = error.message;
  }
}

function closeWhy() {
  if (at("why").contains(document.activeElement)) at("message").focus();
  at("why").hidden = true;
}

async function tell(number, opinion) {
  const conversation = store.current();
  const message = conversation.messages[number];
  const places = (message.sources ?? []).map((source) => source.place);
  await api.feedback({
    model: saidBy(message).id, messages: history(conversation, number), reply: message.content, places, ...opinion,
  });
  message.judged = opinion.good;
  store.save();
}

async function judge(item, number, good) {
  const message = store.current().messages[number];
  try {
    await tell(number, { good });
    fill(item, message, number);
    item.querySelector(".note").append(span(say("thanks")));
  } catch (error) {
    item.querySelector(".note").append(span(error.message));
  }
}

function correct(item, number) {
  if (item.querySelector("form")) return;
  const form = document.createElement("form");
  const label = document.createElement("label");
  const text = document.createElement("textarea");
  const row = document.createElement("div");
  label.append(say("correctAsk"));
  text.required = true;
  text.rows = 3;
  text.value = store.current().messages[number].content;
  row.className = "row";
  const keep = document.createElement("button");
  keep.className = "main";
  keep.textContent = say("correct");
  row.append(keep, button("close", () => form.remove()));
  label.append(document.createElement("br"), text);
  form.append(label, row);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await tell(number, { good: false, better: text.value.trim() });
      form.replaceWith(span(say("thanks")));
    } catch (error) {
      form.append(span(error.message));
    }
  });
  item.append(form);
  text.focus();
}

// ---- the service gone and back -------------------------------------------------------------------------------------

let watching = false;

async function watch() {
  if (watching) return;
  watching = true;
  let gone = false;
  for (let wait = 500; !(await api.alive()); wait = Math.min(2 * wait, 8000)) {
    gone = true;
    banner(say("gone"));
    await new Promise((done) => setTimeout(done, wait));
  }
  watching = false;
  if (!gone) return;
  banner(say("back"));
  setTimeout(() => banner(""), 4000);
  await open();
}

function banner(text) {
  at("banner").textContent = text;
  at("banner").hidden = !text;
}

// ---- the rest of the page ------------------------------------------------------------------------------------------

function openList(is) {
  at("list").classList.toggle("open", is);
  at("open-list").setAttribute("aria-expanded", String(is));
}

function dress() {
  if (settings.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = settings.theme;
  speak(settings.language);
}

function keepSettings() {
  settings.language = at("language").value;
  settings.theme = at("theme").value;
  settings.answers = at("answers").value;
  settings.system = at("system").value;
  settings.temperature = at("temperature").value;
  settings.maxTokens = at("max-tokens").value;
  store.save();
  dress();
  render();
}

function exported() {
  const conversation = store.current() ?? { messages: [] };
  const body = JSON.stringify({ model: model()?.id, messages: history(conversation) }, null, 2);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([body], { type: "application/json" }));
  link.download = "conversation.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function open() {
  try {
    models = await api.models();
  } catch (error) {
    banner(error.status === 401 ? say("needsKey") : say("gone"));
    if (error.status !== 401) watch();
    return;
  }
  if (!models.length) banner(say("noModels"));
  at("model").replaceChildren(
    ...models.map((one) => {
      const option = document.createElement("option");
      option.value = one.id;
      option.textContent = one.id;
      return option;
    }),
  );
  at("model").value = model()?.id ?? "";
  render();
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("message").value.trim();
  if (!text || underWay) return;
  at("message").value = "";
  ask(text);
});
at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("ask").requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || at("settings").open) return;
  if (underWay) stop();
  else if (!at("why").hidden) closeWhy();
  else openList(false);
});
at("stop").addEventListener("click", () => {
  stop();
  at("message").focus();
});
at("new").addEventListener("click", () => {
  stop();
  store.choose(null);
  openList(false);
  closeWhy();
  render();
  at("message").focus();
});
at("open-list").addEventListener("click", () => openList(!at("list").classList.contains("open")));
at("close-why").addEventListener("click", closeWhy);
at("model").addEventListener("change", () => {
  settings.model = at("model").value;
  store.save();
  render();
});
at("open-settings").addEventListener("click", () => {
  at("language").value = settings.language;
  at("theme").value = settings.theme;
  at("answers").value = settings.answers;
  at("system").value = settings.system;
  at("temperature").value = settings.temperature;
  at("max-tokens").value = settings.maxTokens;
  at("settings").showModal();
});
at("settings").addEventListener("change", keepSettings);
at("settings").addEventListener("close", keepSettings);
at("export").addEventListener("click", exported);

store.whenChanged(() => {
  const list = at("messages");
  const { scrollTop } = list;
  const atEnd = list.scrollHeight - scrollTop - list.clientHeight < 80;
  at("model").value = model()?.id ?? "";
  dress();
  render();
  if (!atEnd) list.scrollTop = scrollTop; // who reads stays where they are
});
dress();
render();
open();
