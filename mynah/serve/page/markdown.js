// Markdown as elements, with nothing in it that runs, loads or looks like a part of the page.

import { Marked } from "/page/vendor/marked.js";
import DOMPurify from "/page/vendor/purify.js";

const marked = new Marked({ gfm: true, breaks: true });
const ALLOWED = {
  ALLOWED_TAGS: [
    "p", "br", "hr", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h1", "h2", "h3", "h4", "h5",
    "h6", "table", "thead", "tbody", "tr", "th", "td",
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

export function markdown(text) {
  let html;
  try {
    html = marked.parse(text, { async: false });
  } catch {
    return document.createTextNode(text);
  }
  const made = DOMPurify.sanitize(html, ALLOWED);
  for (const link of made.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const heading of made.querySelectorAll("h1, h2")) {
    const lower = document.createElement("h3"); // the page's own headings stand above
    lower.append(...heading.childNodes);
    heading.replaceWith(lower);
  }
  return made;
}
