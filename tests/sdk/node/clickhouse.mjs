// Rows into a real ClickHouse server, by its own client.
import { createClient } from "@clickhouse/client";
import { given, tell } from "./scenario.mjs";

const { url, username, password, table, rows, compressed } = given;
const client = createClient({
  url,
  username,
  password,
  compression: { request: compressed, response: false },
});
await client.insert({ table, values: rows, format: "JSONEachRow" });
await client.close();
tell("done");
