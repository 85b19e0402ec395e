"""The page in a real browser: what a person does with it, and what hostile text does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from services import KEY, network, serving, with_key


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(of=network(context_length=2000)) as found:
        yield found


class Watched:
    """A page whose requests and complaints are kept."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type == "error" else None
        )
        self.page.on("request", lambda asked: self._note(asked.url, address))
        self.page.goto(address)
        self.page.wait_for_function("() => document.getElementById('model').value !== ''")

    def _note(self, url: str, address: str) -> None:
        if not url.startswith((address, "blob:", "data:")):
            self.elsewhere.append(url)

    def choose(self, model: str) -> None:
        self.page.select_option("#model", model)

    def ask(self, text: str) -> None:
        self.page.fill("#message", text)
        self.page.keyboard.press("Enter")

    def replied(self) -> None:
        self.page.wait_for_selector("#send:visible", timeout=20_000)

    def replies(self) -> list[str]:
        return list(self.page.locator("#messages > .assistant > .said").all_inner_texts())


@pytest.fixture
def watched(browser: Any, address: str) -> Iterator[Watched]:
    made = Watched(browser, address, locale="en-US")
    yield made
    assert not made.complaints
    assert not made.elsewhere
    made.context.close()


def test_the_log_answers_and_shows_where_from(watched: Watched) -> None:
    watched.choose("shop")
    watched.ask("when do you open?")
    watched.replied()
    page = watched.page
    assert watched.replies() == ["From 9 to 5."]
    assert page.get_by_text("90 % sure").is_visible()
    page.get_by_text("1 source").click()
    assert page.get_by_text("shop.csv:3").is_visible()
    page.evaluate("() => { window.first = document.querySelector('#messages .assistant details'); }")
    watched.ask("who are you?")
    watched.replied()
    assert page.locator("#messages > .handed-over").count() == 1
    assert page.get_by_text("handed over to a person").is_visible()
    # What is not new is left alone: nobody hears it read aloud again, and what was opened stays open.
    assert page.evaluate("() => window.first.isConnected && window.first.open")
    # What was said is there after the page is loaded anew, and the conversation goes on.
    page.reload()
    page.wait_for_function("() => document.getElementById('model').value !== ''")
    assert watched.replies() == ["From 9 to 5.", "I pass you on."]
    assert page.input_value("#model") == "shop"


def test_why_these_words(watched: Watched) -> None:
    watched.choose("own")
    watched.ask("the cat")
    watched.replied()
    watched.page.get_by_role("button", name="Why these words").click()
    watched.page.locator(".tokens button").first.click()
    assert watched.page.locator(".bars td").count() == 10
    watched.page.keyboard.press("Escape")
    assert watched.page.locator("#why").is_hidden()


def test_a_reply_is_stopped_asked_for_again_and_a_question_is_edited(watched: Watched) -> None:
    page = watched.page
    watched.choose("own")
    page.click("#open-settings")
    page.fill("#max-tokens", "1500")
    page.keyboard.press("Escape")
    watched.ask("the cat")
    page.wait_for_function("() => document.querySelector('.assistant .said')?.textContent.length > 3")
    page.click("#stop")
    assert page.get_by_text("stopped").is_visible()
    page.click("#open-settings")
    page.fill("#max-tokens", "3")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Again").click()
    watched.replied()
    assert page.get_by_text("stopped", exact=True).count() == 0
    page.get_by_role("button", name="Edit").first.click()
    assert page.input_value("#message") == "the cat"
    assert watched.replies() == []
    page.fill("#message", "the mat")
    page.keyboard.press("Enter")
    watched.replied()
    assert page.locator("#messages > .user > .said").all_inner_texts() == ["the mat"]
    page.click("#new")
    assert page.locator("#welcome").is_visible()
    assert page.locator("#conversations li").count() == 1
    page.get_by_role("button", name="Remove").click()
    assert page.locator("#conversations li").count() == 0


def test_two_windows_keep_each_others_conversations(watched: Watched, address: str) -> None:
    first, second = watched.page, watched.context.new_page()
    second.goto(address)
    second.wait_for_function("() => document.getElementById('model').value !== ''")
    for page, text in ((first, "the first"), (second, "the second"), (first, "the third")):
        page.click("#new")
        page.fill("#message", text)
        page.keyboard.press("Enter")
        page.wait_for_selector("#send:visible", timeout=20_000)
    for page in (first, second):
        page.wait_for_selector("#conversations li:nth-child(3)")
        names = page.locator("#conversations li button:first-child").all_inner_texts()
        assert sorted(names) == ["the first", "the second", "the third"]
    assert second.locator("#messages > .user .said").all_inner_texts() == ["the second"]  # stays where it was
    second.locator("#conversations li", has_text="the first").locator("button").nth(1).click()
    first.wait_for_function("() => document.querySelectorAll('#conversations li').length === 2")
    first.reload()
    first.wait_for_selector("#conversations li:nth-child(2)")
    assert "the first" not in first.locator("#conversations").inner_text()
    second.close()


def test_what_another_window_is_being_told_is_taken_over_when_it_is_whole(
    watched: Watched, address: str
) -> None:
    first, second = watched.page, watched.context.new_page()
    watched.ask("hello there")
    watched.replied()
    second.goto(address)
    second.wait_for_selector("#messages > .assistant .said")
    put = """([said, state]) => {
        const kept = JSON.parse(localStorage.getItem("mynah"));
        const message = kept.conversations[0].messages[1];
        message.content = said;
        if (state) message.state = state; else delete message.state;
        localStorage.setItem("mynah", JSON.stringify(kept));
    }"""
    second.evaluate(put, ["the be", "waiting"])
    first.wait_for_function("() => document.querySelector('.assistant .said').innerText.includes('the be')")
    # It writes, and not what it took for half a reply as if it were its own.
    first.select_option("#model", "shop")
    second.evaluate(put, ["the beginning and the end", None])
    first.wait_for_function("() => document.querySelector('.assistant .said').innerText.includes('the end')")
    first.select_option("#model", "own")
    assert "and the end" in first.evaluate("() => localStorage.getItem('mynah')")
    second.close()


def test_in_chinese_on_a_phone_in_the_dark(browser: Any, address: str) -> None:
    watched = Watched(
        browser,
        address,
        locale="zh-CN",
        color_scheme="dark",
        viewport={"width": 360, "height": 640},
        has_touch=True,
    )
    page = watched.page
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.get_by_text("想问点什么？").is_visible()
    watched.choose("shop")
    watched.ask("open")
    watched.replied()
    assert page.get_by_text("1 个出处").is_visible()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    assert page.locator("#list").is_hidden()
    page.click("#open-list")
    assert page.locator("#list").is_visible()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(20, 25, 31)"
    assert not watched.complaints
    watched.context.close()


def test_the_service_goes_and_comes_back(browser: Any) -> None:
    with serving() as first:
        watched = Watched(browser, first, locale="en-US")
        port = int(first.rsplit(":", 1)[1])
    watched.choose("shop")
    watched.ask("open?")
    watched.page.wait_for_selector("#banner:visible")
    assert "cannot be reached" in watched.page.inner_text("#banner")
    with serving(port=port):
        watched.page.wait_for_function(
            "() => document.getElementById('banner').textContent.includes('back')", timeout=20_000
        )
        watched.page.get_by_role("button", name="Again").click()
        watched.replied()
        assert watched.replies() == ["From 9 to 5."]
    watched.context.close()


def test_with_a_key_the_browser_is_asked_for_it(browser: Any) -> None:
    with serving(**with_key()) as address:
        watched = Watched(
            browser, address, locale="en-US", http_credentials={"username": "me", "password": KEY}
        )
        watched.choose("shop")
        watched.ask("open?")
        watched.replied()
        assert watched.replies() == ["From 9 to 5."]
        watched.context.close()


#: Shows every beginning of every payload, and gathers what is there that should not be.
HOSTILE = """async (payloads) => {
  window.hits = 0;
  window.hit = () => { window.hits += 1; };
  const { markdown } = await import("/page/markdown.js");
  const place = document.createElement("div");
  document.body.append(place);
  const elements = new Set(
    "P BR HR EM STRONG DEL CODE PRE BLOCKQUOTE UL OL LI A H3 H4 H5 H6 TABLE THEAD TBODY TR TH TD".split(" "));
  const attributes = new Set(["href", "start", "align", "target", "rel"]);
  const strange = [];
  for (const payload of payloads) {
    for (let end = 1; end <= payload.length; end += 1) {
      place.replaceChildren(markdown(payload.slice(0, end)));
      for (const element of place.querySelectorAll("*")) {
        const odd = [...element.attributes].some((one) => !attributes.has(one.name));
        const runs = element.tagName === "A" && element.href && !/^(https?|mailto):/.test(element.href);
        if (odd || runs || !elements.has(element.tagName)) strange.push(element.outerHTML);
      }
    }
  }
  await new Promise((done) => setTimeout(done, 200));
  place.remove();
  return { hits: window.hits, strange: strange.slice(0, 5) };
}"""
#: What runs or loads, in the ways that pages have been attacked.
ATTACKS = [
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>",
    "<svg><script>hit()</script></svg>",
    "<iframe src=javascript:hit()>",
    "<iframe srcdoc='<script>parent.hit()</script>'>",
    "<a href=javascript:hit()>x</a>",
    "[x](javascript:hit())",
    "[x](JaVaScRiPt:hit())",
    "[x](java\tscript:hit())",
    "[x](data:text/html,<script>hit()</script>)",
    "![x](http://evil.example/a.png)",
    '![x](x" onerror="hit())',
    "<style>@import 'http://evil.example/a.css'</style>",
    "<link rel=stylesheet href=http://evil.example/a.css>",
    "<base href=http://evil.example/>",
    "<form action=http://evil.example>",
    "<input autofocus onfocus=hit()>",
    "<details open ontoggle=hit()>",
    "<video><source onerror=hit()></video>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hit()>",
    "<body onload=hit()>",
    "<object data=http://evil.example>",
    "<embed src=http://evil.example>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<x style=background:url(http://evil.example)>",
    "<template><img src=x onerror=hit()></template>",
    "<noscript><p title='</noscript><img src=x onerror=hit()>'>",
    "<img srcset='http://evil.example/a 1x'>",
    "<audio src=http://evil.example/a autoplay>",
    "<button popovertarget=settings>x</button>",
    "<p id=settings class=main>x</p>",
]
AROUND = [
    "{}", "text {} text", "> {}", "- {}", "`` ` `` {}", "```\n{}\n```\n{}", "| a |\n|---|\n| {} |", "# {}", "**{}**", "[{}](http://a)",
    "<!-- {} -->{}", "<p>{}", "&lt;{}", "{}\\", "\u202e{}", "{0}{0}",
]  # fmt: skip


def test_hostile_text_runs_nothing_and_loads_nothing(browser: Any, address: str) -> None:
    watched = Watched(browser, address)
    payloads = [around.replace("{0}", "{}").replace("{}", attack) for attack in ATTACKS for around in AROUND]
    assert len(payloads) > 500
    found = watched.page.evaluate(HOSTILE, payloads)
    assert found == {"hits": 0, "strange": []}
    assert not watched.elsewhere
    watched.context.close()


def test_axe_finds_no_serious_fault(browser: Any, address: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    ).Axe()
    for scheme in ("light", "dark"):
        watched = Watched(browser, address, color_scheme=scheme, locale="en-US")
        watched.choose("shop")
        found = [axe.run(watched.page)]
        watched.ask("open?")
        watched.replied()
        watched.ask("who?")
        watched.replied()
        watched.page.get_by_role("button", name="Why these words").first.click()
        watched.page.wait_for_selector(".tokens button")
        found.append(axe.run(watched.page))
        watched.page.click("#open-settings")
        found.append(axe.run(watched.page))
        serious = [
            (fault["id"], [node["html"] for node in fault["nodes"]])
            for result in found
            for fault in result.response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert serious == []
        watched.context.close()
