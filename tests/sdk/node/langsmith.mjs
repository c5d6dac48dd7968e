// LangSmith's runs, as multipart.
import { Client } from "langsmith";
import { traceable } from "langsmith/traceable";
import { given, tell } from "./scenario.mjs";

const { url, key, email, phone, prompt, structure, ids } = given;
const client = new Client({ apiUrl: url, apiKey: key });
const options = { client, tracingEnabled: true, project_name: `mail of ${email}` };

const lookUp = traceable(
  async () => {
    throw new Error(`nobody is called ${email} at ${phone}`);
  },
  { ...options, name: `look up ${email}`, run_type: "tool" },
);
for (const id of ids) {
  const ask = traceable(
    async (input) => {
      await lookUp(input.structure.arguments).catch(() => {});
      return { content: input.prompt, arguments: input.structure.arguments };
    },
    { ...options, id, name: "ask", run_type: "llm", tags: ["prod", `user:${email}`], metadata: structure },
  );
  await ask({ prompt, structure });
}
await client.flush();
await client.awaitPendingTraceBatches();
tell("done");
