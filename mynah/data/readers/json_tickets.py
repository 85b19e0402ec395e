"""Tickets of a support desk in JSON: Zendesk, Freshdesk, Intercom, Help Scout, Zammad, osTicket, Jira and their like.

A ticket is an object with a list of posts. Desks differ in where that list lies and in how they say who wrote a post
and who may read it; each way is looked for by its usual names, not by desk.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mynah.data.layout import Layout
from mynah.data.markup import plain_text
from mynah.data.quoted import own_words
from mynah.data.records import Record, Rejected
from mynah.data.sources import Reading, Row
from mynah.data.tables.to_records import APP, MEDIA, NOTE, messages_to_records
from mynah.data.vocabulary import NOTE_WORDS, ROLE_ASSISTANTS, ROLE_USERS

Fields = Mapping[str, Any]
#: Lists of posts, most telling first, folded; and objects that they may lie in.
_POSTS = (
    "comments conversationparts ticketcomments conversations threads thread entries articles notes replies posts "
    "messages interactions correspondence updates parts history events payload"
).split()
_AROUND = (
    "embedded",
    "conversationparts",
    "thread",
    "comment",
    "comments",
    "fields",
    "helpdeskticket",
    "ticket",
    "data",
)
#: What a post says, the plain form first.
_BODY = (
    "bodytext plainbody textbody plaintext body text content message msg htmlbody html comment note description"
).split()
#: What tells a ticket from any other object with a list in it.
_TELLING = frozenset(
    "subject description descriptiontext requester requesterid ticketid ticketnumber status priority ticket customer "
    "customerid assignee assigneeid conversationparts embedded summary reporter channel visitor "
    "agentnames".split()
)
_SUBJECT = ("subject", "rawsubject", "summary", "title")
_OPENING = ("descriptiontext", "plaindescription", "description", "firstmessage", "initialmessage")
_REQUESTER = (
    "requesterid",
    "customerid",
    "contactid",
    "userid",
    "requester",
    "customer",
    "reporter",
    "contact",
)
_AUTHOR = ("author", "createdby", "from", "sender", "user", "poster", "actor", "creator", "agent")
_AUTHOR_ID = ("authorid", "userid", "senderid", "createdbyid", "fromid")
#: Fields with a word for what the author of a post is.
_ROLE = (
    "authortype sendertype authorrole usertype senderrole createdbytype fromtype role sender author from type"
).split()
_INBOUND = ("incoming", "isinbound", "inbound", "fromcustomer", "isfromcustomer", "customerreply")
_OUTBOUND = ("fromagent", "outgoing", "isoutbound", "outbound", "isagent", "staff", "isstaff", "fromstaff")
_PRIVATE = ("private", "isprivate", "internal", "isinternal", "internalnote", "isnote", "isinternalnote")
_PUBLIC = ("public", "ispublic", "jsdpublic", "customervisible", "isvisible")
_KIND = ("type", "parttype", "kind", "visibility", "notetype", "messagetype", "threadtype")
#: Kinds of posts that are notes, and those that nobody wrote.
_NOTES = NOTE_WORDS | {"n", "team"}
_EVENTS = frozenset(
    "lineitem assignment close open event system status snoozed unsnoozed away_mode_assignment assign_and_reopen "
    "default_assignment quick_reply attribute_updated_by_admin forwardedthread activity change audit".split()
)
#: Kinds of posts whose words are the desk's own.
_OF_THE_DESK = frozenset("system_message system activity annotation".split())
#: Kinds of posts that say who wrote them: osTicket's letters, Help Scout's words.
_BY_KIND = {
    "0": "customer",
    "1": "agent",
    "2": "system",
    "3": "agent",
    "incoming": "customer",
    "outgoing": "agent",
    "m": "customer",
    "r": "agent",
    "customer": "customer",
    "message": "",
    "reply": "",
}
_TIME = ("createdat", "created", "time", "timestamp", "date", "updatedat", "sentat", "datecreated")
#: What a body that is HTML has in it, though it begin with words.
_BREAK = re.compile(r"<br\s*/?>|</(?:p|div)>", re.IGNORECASE)
#: Wrappers of tickets, and of those.
_WRAPPERS = (
    "tickets",
    "chats",
    "payload",
    "conversations",
    "issues",
    "data",
    "results",
    "items",
    "records",
    "threads",
    "requests",
)


def desk_of(values: list[Any]) -> list[Any] | None:
    """Return the tickets that one object wraps, each with the desk's list of people; None if it wraps none."""
    if len(values) != 1 or not isinstance(values[0], dict):
        return None
    fields = _fold_keys(values[0])
    for outer in ("embedded", "data"):
        if isinstance(fields.get(outer), dict):
            fields = {**fields, **_fold_keys(fields[outer])}
    for name in _WRAPPERS:
        tickets = fields.get(name)
        if isinstance(tickets, list) and any(map(is_ticket, tickets[:20])):
            people: list[Any] = next(
                (fields[k] for k in ("users", "people", "contacts") if isinstance(fields.get(k), list)), []
            )
            comments = fields.get("comments")  # beside the tickets, in some exports
            return [
                _joined(ticket, people, comments if isinstance(comments, list) else []) for ticket in tickets
            ]
    return None


def _joined(ticket: Any, people: list[Any], comments: list[Any]) -> Any:
    if not isinstance(ticket, dict):
        return ticket
    made = {**ticket, "__people": people} if people else ticket
    own = [c for c in comments if isinstance(c, dict) and c.get("ticket_id") == ticket.get("id")]
    return {**made, "comments": own} if own and "comments" not in ticket else made


def is_ticket(value: Any) -> bool:
    """Whether a value is a ticket: an object with posts, and with what only a desk notes."""
    if not isinstance(value, dict):
        return False
    fields = _fold_keys(value)
    inner = next((fields[k] for k in ("helpdeskticket", "ticket") if isinstance(fields.get(k), dict)), None)
    if inner is not None:
        return bool(_posts(_fold_keys(inner)) or _posts(fields))
    posts = _posts(fields)
    if not posts:
        return False
    shown = [_fold_keys(post) for post in posts[:20]]
    noted = any(name in post for post in shown for name in (*_PRIVATE, *_PUBLIC, *_INBOUND, "parttype"))
    by_people = isinstance(fields.get("users"), list) and any("authorid" in post for post in shown)
    return noted or by_people or len(_TELLING & set(fields)) >= 2


def read_tickets(
    name: str, items: Iterable[tuple[int, Any] | Rejected], reading: Reading
) -> Iterator[Record | Rejected]:
    """Yield a conversation for each ticket."""
    reading.tell(
        layout="tickets: subject and first message, then the posts; notes among colleagues, quoted mail and signatures "
        "left out"
    )
    layout = Layout(
        "messages",
        text="text",
        conversation="ticket",
        speaker="speaker",
        direction="role",
        assistant=reading.config.columns.assistant,
    )
    rows = itertools.chain.from_iterable(_rows(name, item) for item in items)
    yield from messages_to_records(name, rows, layout, reading)


def _fold_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "".join(c for c in str(key).lower() if c.isalnum()): item for key, item in reversed([*value.items()])
    }


def _posts(fields: Fields, depth: int = 0) -> list[dict[str, Any]]:
    """Return the posts of a ticket, wherever they lie."""
    for name in _POSTS:
        found = fields.get(name)
        if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
            posts = [_unwrapped(item) for item in found]
            if any(_text(_fold_keys(post)) for post in posts):
                return posts
    if depth < 3:
        for name in _AROUND:
            inner = fields.get(name)
            if isinstance(inner, dict) and (posts := _posts(_fold_keys(inner), depth + 1)):
                return posts
    return []


def _unwrapped(post: dict[str, Any]) -> dict[str, Any]:
    """Return what an object holds that has but one name in it: {"helpdesk_note": {...}}."""
    inner = next(iter(post.values())) if len(post) == 1 else None
    return inner if isinstance(inner, dict) else post


def _rows(name: str, item: tuple[int, Any] | Rejected) -> Iterator[Row | Rejected]:
    if isinstance(item, Rejected):
        yield item
        return
    number, value = item
    if not is_ticket(value):
        yield Rejected(name, number, "not a ticket")
        return
    ticket = _fold_keys(value)
    people = _people(ticket.get("people") or ticket.get("users"))
    for key in ("helpdeskticket", "ticket", "fields"):
        if isinstance(inner := ticket.get(key), dict):
            ticket = {**ticket, **_fold_keys(inner)}
    posts = [_fold_keys(post) for post in _posts(ticket)]
    if _is_backwards(posts):
        posts.reverse()
    roles = [_role(post, ticket, people) for post in posts]
    authors = [_identity(_first(post, (*_AUTHOR_ID, *_AUTHOR))) for post in posts]
    if posts and not any(roles) and all(authors):  # who wrote first is who asks
        roles = ["customer" if author == authors[0] else "agent" for author in authors]
    if "customer" in roles:  # Help Scout calls its users what answers customers
        roles = ["agent" if role == "user" else role for role in roles]
    yield from _opening(name, number, ticket, posts)
    opened = next((post for post in posts if _text(post)), None)
    for post, role in zip(posts, roles, strict=True):
        text = _text(post)
        if post is opened and (subject := _subject(ticket, text)) and not _first_text(ticket, posts):
            text = f"{subject}\n{text}"
        if _is_note(post):
            yield Rejected(name, number, NOTE, bad=False, characters=len(text))
        elif role == "system" or _is_event(post, text):
            yield Rejected(name, number, APP, bad=False, characters=len(text))
        elif not text:
            yield Rejected(name, number, MEDIA if post.get("attachments") else APP, bad=False)
        else:
            yield _row(number, text, _name(post) or role or "?", role)


def _opening(name: str, number: int, ticket: Fields, posts: list[dict[str, Any]]) -> Iterator[Row]:
    """Yield what the ticket says first, if no post says it."""
    if text := _first_text(ticket, posts):
        subject = _subject(ticket, text)
        source = ticket.get("source")
        opener = _fold_keys(source) if isinstance(source, dict) else {}
        role = _role(opener, {}, {}) or "customer"
        yield _row(number, f"{subject}\n{text}" if subject else text, _name(opener) or role, role)


def _first_text(ticket: Fields, posts: list[dict[str, Any]]) -> str:
    source = ticket.get("source")  # Intercom's first message
    own = _text(_fold_keys(source)) if isinstance(source, dict) else ""
    own = own or next((said for k in _OPENING if (said := _text({"body": ticket.get(k)}))), "")
    start = "".join(own.split())[:60]
    same = any("".join(_text(post).split()).startswith(start) for post in posts[:2])
    return "" if same and start else own


def _subject(ticket: Fields, text: str) -> str:
    source = ticket.get("source")
    fields = {**_fold_keys(source), **ticket} if isinstance(source, dict) else ticket
    if isinstance(fields.get("subject"), str) and fields["subject"].lower().startswith(
        ("re:", "aw:", "fwd:")
    ):
        return ""
    subject = next((_clean(fields[k]) for k in _SUBJECT if isinstance(fields.get(k), str)), "")
    return "" if subject and text.startswith(subject) else subject


def _row(number: int, text: str, speaker: str, role: str) -> Row:
    return Row(number, {"text": text, "ticket": str(number), "speaker": speaker, "role": role})


def _text(post: Fields) -> str:
    for name in _BODY:
        found = post.get(name)
        if isinstance(found, str) and found.strip():
            return _clean(found)
        if isinstance(found, dict) and isinstance(inner := found.get("content"), list):
            return _clean("\n".join(_blocks(inner)))
    return ""


def _blocks(blocks: list[Any]) -> Iterator[str]:
    """Yield the paragraphs of Atlassian's document format."""
    for block in blocks:
        if isinstance(block, dict):
            parts = [b for b in block.get("content") or () if isinstance(b, dict)]
            words = "".join(str(b.get("text") or "") for b in parts)
            if words:
                yield words
            else:
                yield from _blocks(parts)


def _clean(text: str) -> str:
    return own_words(plain_text(f"<p>{text}" if _BREAK.search(text) else text))


def _first(post: Fields, names: Iterable[str]) -> Any:
    return next((post[name] for name in names if post.get(name) not in (None, "")), None)


def _is_note(post: Fields) -> bool:
    if any(post.get(name) in (True, 1, "true", "True", "1") for name in _PRIVATE):
        return True
    if any(name in post and post[name] in (False, 0, "false", "False", "0") for name in _PUBLIC):
        return True
    return any(str(post.get(name)).lower() in _NOTES for name in _KIND if isinstance(post.get(name), str))


def _is_event(post: Fields, text: str) -> bool:
    """Whether nobody wrote a post: the desk notes who joined, who is assigned."""
    kinds = {str(post.get(kind)).lower() for kind in _KIND}
    return bool(kinds & _OF_THE_DESK) or (not text and bool(kinds & _EVENTS))


def _is_backwards(posts: list[dict[str, Any]]) -> bool:
    """Whether the newest post comes first."""
    times = [str(_first(post, _TIME) or "") for post in posts]
    return all(times) and len(times) > 1 and times[0] > times[-1] and times == sorted(times, reverse=True)


def _people(listed: Any) -> dict[str, str]:
    """Return the role of each person of a desk by id."""
    people = [_fold_keys(person) for person in listed or () if isinstance(person, dict)]
    roles = {str(p["id"]): p.get("role") or p.get("type") for p in people if "id" in p}
    return {who: role.lower() for who, role in roles.items() if isinstance(role, str)}


def _role(post: Fields, ticket: Fields, people: Mapping[str, str]) -> str:
    """Return a word for who wrote a post: one of vocabulary.ROLE_USERS or ROLE_ASSISTANTS; "system"; "" if unknown."""
    for name in _INBOUND:
        if isinstance(post.get(name), bool):
            return "customer" if post[name] else "agent"
    for name in _OUTBOUND:
        if isinstance(post.get(name), bool):
            return "agent" if post[name] else "customer"
    if found := _BY_KIND.get(str(post.get("messagetype", "")).lower()):  # Chatwoot's users are agents
        return found
    told = [post.get(name) for name in _ROLE]
    for name in _AUTHOR:
        if isinstance(author := post.get(name), dict):
            folded = _fold_keys(author)
            told = [
                folded.get("role"),
                folded.get("type"),
                folded.get("usertype"),
                folded.get("accounttype"),
                *told,
            ]
    for word in told:
        folded_word = word.strip().lower() if isinstance(word, str) else ""
        if folded_word in ROLE_USERS | ROLE_ASSISTANTS | {"system"}:
            return folded_word
    if found := _BY_KIND.get(str(_first(post, _KIND) or "").lower()):
        return found
    author_id = _identity(_first(post, (*_AUTHOR_ID, *_AUTHOR)))
    if author_id in people:
        return people[author_id]
    requester = _identity(_first(ticket, _REQUESTER))
    if author_id and requester:
        return "customer" if author_id == requester else "agent"
    return ""


def _identity(value: Any) -> str:
    """Return what names a person, who may be an id, a name, or an object with either."""
    if isinstance(value, dict):
        folded = _fold_keys(value)
        value = _first(folded, ("id", "email", "emailaddress", "accountid", "name", "displayname"))
    return str(value).strip().lower() if isinstance(value, str | int) else ""


def _name(post: Fields) -> str:
    for name in (*_AUTHOR, "authorname", "sendername", "name"):
        value = post.get(name)
        if isinstance(value, dict):
            folded = _fold_keys(value)
            whole = " ".join(
                str(folded[k]) for k in ("first", "last", "firstname", "lastname") if folded.get(k)
            )
            value = _first(folded, ("name", "displayname", "fullname", "email")) or whole
        if isinstance(value, str) and value.strip() and value.lower() not in ROLE_USERS | ROLE_ASSISTANTS:
            return value.strip()
    return ""
