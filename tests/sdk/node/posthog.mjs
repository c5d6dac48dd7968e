// PostHog's events.
import { PostHog } from "posthog-node";
import { given, tell } from "./scenario.mjs";

const { url, key, email, prompt, structure, ids } = given;
const client = new PostHog(key, { host: url, flushAt: 1000, disableGeoip: true });
const errors = [];
client.on("error", (error) => errors.push(String(error)));
for (const uuid of ids) {
  client.capture({ uuid, distinctId: email, event: "asked", properties: { prompt, $ai_input: structure, email } });
}
client.identify({ distinctId: ids[0], properties: { email, plan: "pro" } });
await client.shutdown();
tell({ errors });
