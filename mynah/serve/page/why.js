// Why these words: tokens coloured by surprise, and behind each what else might have stood there.

import { explain } from "/page/api.js";
import { say } from "/page/words.js";

const SHADES = [0.5, 0.1, 0.01, 0.001]; // a token less likely than that is a shade darker

function percent(logProb) {
  const share = Math.exp(logProb) * 100;
  return share >= 1 ? `${share.toFixed(0)} %` : share >= 0.01 ? `${share.toFixed(2)} %` : "< 0.01 %";
}

function shown(text) {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

// A piece of a character is told by its bytes.
function named(one) {
  const hex = one.bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, "0"));
  return one.token.includes("\ufffd") ? `‹${hex.join(" ")}›` : shown(one.token);
}

// A character that several tokens spell is shown as one: its parts mean nothing by themselves.
function whole(tokens) {
  const found = [];
  let bytes = [];
  let parts = [];
  for (const token of tokens) {
    bytes.push(...token.bytes);
    parts.push(token);
    let text;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
    } catch {
      continue;
    }
    const sum = (of) => parts.reduce((total, part) => total + of(part), 0);
    found.push({
      ...parts[0], token: text, logprob: sum((part) => part.logprob),
      ngram: parts[0].ngram && { ...parts[0].ngram, logprob: sum((part) => part.ngram.logprob) },
    });
    bytes = [];
    parts = [];
  }
  return found;
}

function bars(title, alternatives, token) {
  const rows = alternatives.map((one) => {
    const row = document.createElement("tr");
    if (one.token === token) row.className = "chosen";
    const name = row.insertCell();
    const code = document.createElement("code");
    code.textContent = named(one);
    name.append(code);
    row.insertCell().textContent = percent(one.logprob);
    return row;
  });
  const head = document.createElement("tr");
  const cell = document.createElement("th");
  cell.colSpan = 2;
  cell.scope = "colgroup";
  cell.textContent = title;
  head.append(cell);
  return [head, ...rows];
}

let asked = 0;

export async function showWhy(body, model, messages, text) {
  const mine = (asked += 1);
  body.textContent = say("loading");
  const tokens = whole(await explain({ model, messages, text, top: 5 }));
  if (mine !== asked) return; // something else has been asked for since
  const more = document.createElement("p");
  more.textContent = say("whyMore");
  const table = document.createElement("table");
  table.className = "bars";
  const line = document.createElement("p");
  line.className = "tokens";
  line.append(
    ...tokens.map((token) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = token.token.replaceAll("\n", "⏎\n");
      button.className = `s${SHADES.filter((share) => Math.exp(token.logprob) < share).length}`;
      button.title = say("surprise", percent(token.logprob));
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        for (const other of line.children) other.setAttribute("aria-pressed", String(other === button));
        table.replaceChildren(
          ...bars(`${say("network")}: ${say("surprise", percent(token.logprob))}`, token.top_logprobs, token.token),
          ...(token.ngram ? bars(`${say("ngram")}: ${percent(token.ngram.logprob)}`, token.ngram.top_logprobs, token.token) : []),
        );
      });
      return button;
    }),
  );
  body.replaceChildren(more, line, table);
}
