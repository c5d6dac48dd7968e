// What each script is given on standard input: the proxy's `url` and what to plant,
// written once, in planted.py. What a script has to tell goes to standard output as
// JSON; standard error has to stay empty.
import { File } from "node:buffer";
import { webcrypto } from "node:crypto";

// Node.js 18 has what SDKs look for, but not where they look.
globalThis.crypto ??= webcrypto;
if (!globalThis.File) {
  globalThis.File = File;
  const warn = process.emitWarning;
  process.emitWarning = (text, ...rest) => String(text).includes("buffer.File") || warn(text, ...rest);
}

let text = "";
for await (const piece of process.stdin) text += piece;
export const given = JSON.parse(text);

export function tell(value) {
  process.stdout.write(JSON.stringify(value));
}
