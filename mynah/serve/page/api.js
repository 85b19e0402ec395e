// The service, as any other client asks it.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function asked(path, body, signal) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Refused(told.error?.message ?? `${response.status}`, response.status);
  }
  return response;
}

export async function models() {
  return (await (await asked("/v1/models")).json()).data;
}

export async function explain(body) {
  return (await (await asked("/v1/explain", body)).json()).tokens;
}

export async function feedback(body) {
  return (await asked("/v1/feedback", body)).json();
}

export async function alive() {
  try {
    return (await fetch("/health", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

// Yields the deltas of a reply as they come, and last what it ended by.
export async function* reply(body, signal) {
  const response = await asked("/v1/chat/completions", { ...body, stream: true }, signal);
  let waiting = "";
  for await (const text of pieces(response.body)) {
    waiting += text;
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const data = event.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const told = JSON.parse(data);
      if (told.error) throw new Refused(told.error.message, 500);
      const choice = told.choices?.[0];
      if (choice) yield { ...choice.delta, reason: choice.finish_reason };
    }
  }
  throw new Refused("", 0); // it ended before its end
}

async function* pieces(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
