// What each script is given on standard input: the proxy's `url` and what to plant,
// written once, in planted.py. What a script has to tell goes to standard output as
// JSON; standard error has to stay empty.
let text = "";
for await (const piece of process.stdin) text += piece;
export const given = JSON.parse(text);

export function tell(value) {
  process.stdout.write(JSON.stringify(value));
}
