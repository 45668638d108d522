// OpenAI's own npm client against a running server. Prints one JSON object with what it saw.
// Usage: node client.mjs http://127.0.0.1:PORT/v1
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "Hello there" }];
const seen = {};

const listed = [];
for await (const model of client.models.list()) listed.push(model.id);
seen.models = listed;
const model = listed[0];
seen.retrieved = (await client.models.retrieve(model)).id;

const plain = await client.chat.completions.create({ model, messages, seed: 1 });
seen.plain = { object: plain.object, choice: plain.choices[0], usage: plain.usage };

const several = await client.chat.completions.create({ model: `${model}:beam`, messages, n: 2, max_tokens: 5, seed: 1 });
seen.several = several.choices.map((choice) => choice.finish_reason);

const chunks = [];
const stream = await client.chat.completions.create({
  model, messages, seed: 1, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) chunks.push(chunk);
seen.streamed = {
  role: chunks[0].choices[0].delta.role,
  text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
  finish: chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean),
  usage: chunks.at(-1).usage,
  last_choices: chunks.at(-1).choices.length,
  ids: new Set(chunks.map((chunk) => chunk.id)).size,
};

// The helper that front ends use: it puts a stream together again and checks its order.
const runner = client.chat.completions.stream({ model, messages, seed: 1 });
seen.helper = await runner.finalContent();

const kept = [];
for (const text of ["Hi", "Hi again"]) {
  const done = await client.chat.completions.create({ model, messages: [{ role: "user", content: text }], conversation: "npm" });
  kept.push(done.chinwag.conversation);
}
seen.kept = kept;
seen.history = (await client.get("/conversations/npm")).turns.length;

const completion = await client.completions.create({ model, prompt: ["Hello there", "How are you?"], seed: 1 });
seen.completions = { object: completion.object, texts: completion.choices.map((choice) => typeof choice.text) };
const parts = [];
for await (const part of await client.completions.create({ model, prompt: "Hello there", stream: true })) parts.push(part);
seen.completion_stream = parts.map((part) => part.choices[0].text).join("").length > 0;

const judged = await client.moderations.create({ input: ["What a lovely day", "I want to kill myself"] });
seen.flagged = judged.results.map((result) => result.flagged);

async function failure(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param, message: error.message };
  }
}
seen.errors = {
  unknown_model: await failure(() => client.chat.completions.create({ model: "gpt-4", messages })),
  no_messages: await failure(() => client.chat.completions.create({ model, messages: [] })),
  too_long: await failure(() => client.chat.completions.create({ model, messages: [{ role: "user", content: "a".repeat(5000) }] })),
  no_such_path: await failure(() => client.get("/nothing")),
};

const gone = new AbortController();
const leaving = await client.chat.completions.create({ model, messages, stream: true }, { signal: gone.signal });
gone.abort();
seen.aborted = await failure(async () => {
  for await (const _ of leaving);
}) === null;
seen.after_abort = (await client.chat.completions.create({ model, messages })).choices.length;

console.log(JSON.stringify(seen));
