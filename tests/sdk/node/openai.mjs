// OpenAI's chat, stream, embeddings and files: the last one is sent in chunks.
import OpenAI, { toFile } from "openai";
import { given, tell } from "./scenario.mjs";

const { url, key, messages, texts, file } = given;
const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 2 });
const chat = await client.chat.completions.create({ model: "gpt-4o", messages });
const words = [];
for await (const chunk of await client.chat.completions.create({ model: "gpt-4o", messages, stream: true })) {
  words.push(chunk.choices[0].delta.content);
}
await client.embeddings.create({ model: "text-embedding-3-small", input: texts, encoding_format: "float" });
const uploaded = await client.files.create({ file: await toFile(Buffer.from(file), "batch.jsonl"), purpose: "batch" });
tell({ answer: chat.choices[0].message.content, words, file: uploaded.id });
