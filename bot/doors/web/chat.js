// The chat page: a client of this server's own API like any other. Texts go in as text nodes, never as markup.

const at = (id) => document.getElementById(id);
const log = at("log"), text = at("text"), status = at("status");
const ANSWERS = [["Good", 1, "Good reply"], ["Bad", 0, "Bad reply"]]; // words: not every machine draws emoji
let key = sessionStorage.getItem("key") || "";
let talk = localStorage.getItem("conversation");
let under = null; // the AbortController of the reply under way
let opening; // the page with what was said before: a message waits for it, else it would be wiped off the screen

if (!talk) localStorage.setItem("conversation", (talk = "web-" + randomName()));

function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function call(method, path, body, signal) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  if (answer.status === 401) askForKey();
  if (!answer.ok) throw new Error(await reason(answer));
  return answer;
}

async function reason(answer) {
  try {
    const wait = answer.headers.get("Retry-After");
    return (await answer.json()).error.message + (wait ? ` (Try again in ${wait} s.)` : "");
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

const json = async (method, path, body) => (await call(method, path, body)).json();
const here = (rest = "") => `/v1/conversations/${encodeURIComponent(talk)}${rest}`;

function askForKey() {
  at("key-form").hidden = false;
  at("key").focus();
}

function show(role, words, extra = "") {
  const item = document.createElement("li");
  item.className = `${role} ${extra}`;
  const who = document.createElement("span");
  who.className = "hidden";
  who.textContent = role === "user" ? "You: " : "Bot: ";
  const bubble = document.createElement("p");
  bubble.className = "bubble";
  const said = document.createTextNode(words);
  bubble.append(who, said);
  item.append(bubble);
  log.append(item);
  item.scrollIntoView({ block: "end" });
  return { item, said };
}

function offerRating(item, reply) {
  const row = document.createElement("div");
  row.className = "rate";
  for (const [sign, value, name] of ANSWERS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", name);
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => rate(row, button, reply, value);
    row.append(button);
  }
  item.append(row);
}

async function rate(row, button, reply, value) {
  const taken = button.getAttribute("aria-pressed") === "true";
  const body = { conversation: talk, reply, label: "liked", value: taken ? null : value };
  await attempt(async () => {
    await call("POST", "/v1/ratings", body);
    for (const each of row.children) each.setAttribute("aria-pressed", String(each === button && !taken));
    status.textContent = taken ? "Rating taken back." : "Thank you, noted.";
  });
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    status.textContent = error.message;
  }
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) yield part;
  }
}

async function send(words) {
  under = new AbortController();
  busy(true);
  await opening;
  show("user", words);
  const { item, said } = show("bot", "", "thinking");
  const body = {
    conversation: talk, stream: true, message_id: randomName(), messages: [{ role: "user", content: words }],
  };
  try {
    const answer = await call("POST", "/v1/chat/completions", body, under.signal);
    for await (const event of events(answer)) read(event, item, said);
  } catch (error) {
    const stopped = error.name === "AbortError";
    said.data = stopped ? "(stopped; nothing of this message was kept)" : error.message;
    item.classList.add("error");
    if (!stopped && !text.value) text.value = words;
  } finally {
    item.classList.remove("thinking");
    busy(false);
  }
}

function read(event, item, said) {
  if (event.startsWith(": thinking")) status.textContent = `Thinking… ${event.slice(11)} tokens`;
  if (!event.startsWith("data: ") || event === "data: [DONE]") return;
  const chunk = JSON.parse(event.slice(6));
  if (chunk.error) throw new Error(chunk.error.message);
  const [choice] = chunk.choices;
  if (choice?.delta.content) said.data += choice.delta.content;
  if (choice?.finish_reason) offerRating(item, chunk.id);
  item.scrollIntoView({ block: "end" });
}

function busy(on) {
  at("send").disabled = on;
  at("send").hidden = on;
  at("stop").hidden = !on;
  log.setAttribute("aria-busy", String(on));
  if (!on) {
    under = null;
    status.textContent = "";
    text.focus();
  }
}

async function showWhy() {
  const story = await json("GET", here("/why"));
  const seconds = Object.entries(story.seconds).map(([stage, value]) => `${stage} ${value.toFixed(2)} s`);
  at("story-facts").textContent = `From: ${story.source} · model ${story.model} · ${seconds.join(" · ")}`;
  at("story-rows").replaceChildren(...story.candidates.map(row));
  at("story").showModal();
}

function row(candidate) {
  const line = document.createElement("tr");
  for (const value of [candidate.text, candidate.score.toFixed(2), candidate.dropped_by ?? ""]) {
    line.append(Object.assign(document.createElement("td"), { textContent: value }));
  }
  return line;
}

async function download() {
  const stored = await json("GET", here());
  const blob = new Blob([JSON.stringify(stored, null, 2)], { type: "application/json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "chinwag.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function beginAnew(deleting) {
  if (deleting && !confirm("Delete everything of this conversation from the server?")) return;
  await call(deleting ? "DELETE" : "POST", here(deleting ? "" : "/reset"));
  log.replaceChildren();
  status.textContent = deleting ? "Deleted." : "A fresh start.";
  text.focus();
}

async function open() {
  const [models, people, before] = await Promise.all([
    json("GET", "/v1/models"), json("GET", "/v1/personas"), json("GET", here()),
  ]);
  at("key-form").hidden = true;
  at("model").textContent = models.data[0].id;
  at("persona").replaceChildren(...people.data.map((card) => new Option(card.name, card.id, false, card.id === before.persona)));
  log.replaceChildren();
  for (const turn of before.turns) show(turn.role, turn.text);
  text.focus();
}

at("form").onsubmit = (event) => {
  event.preventDefault();
  const words = text.value.trim();
  if (!words || under) return;
  text.value = "";
  grow();
  send(words);
};
text.onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("form").requestSubmit();
  }
};
function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}
text.oninput = grow;
at("stop").onclick = () => under?.abort();
at("key-form").onsubmit = (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  sessionStorage.setItem("key", key);
  opening = attempt(open);
};
const closing = (work) => () => { at("menu").open = false; return attempt(work); };
at("why").onclick = closing(showWhy);
at("reset").onclick = closing(() => beginAnew(false));
at("forget").onclick = closing(() => beginAnew(true));
at("export").onclick = closing(download);
at("persona").onchange = () => attempt(async () => {
  const changed = await json("PUT", here("/persona"), { persona: at("persona").value });
  status.textContent = `You are now talking to ${changed.name}.`;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") at("menu").open = false; });
opening = attempt(open);
