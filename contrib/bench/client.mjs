// The official fetch client against a seller, without a gate: node client.mjs URL SECONDS IN-FLIGHT. Prints one line of
// JSON: {requests, errors, p50, p99, seconds}, times in microseconds.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const peers = createRequire(process.env.PEERS + "/package.json");
const load = (name) => import(pathToFileURL(peers.resolve(name)).href);
const { ExactEvmScheme } = await load("@x402/evm");
const { wrapFetchWithPaymentFromConfig } = await load("@x402/fetch");
const { generatePrivateKey, privateKeyToAccount } = await load("viem/accounts");

globalThis.crypto ??= (await import("node:crypto")).webcrypto; // Node 18

const [url, seconds, inFlight] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const account = privateKeyToAccount(generatePrivateKey());
const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: "eip155:*", client: new ExactEvmScheme(account) }] });
const times = [];
let errors = 0;
let count = 0;

async function buyUntil(end) {
  while (process.hrtime.bigint() < end) {
    const began = process.hrtime.bigint();
    const response = await pay(`${url}?n=${count++}`);
    await response.text();
    if (response.status !== 200) errors++;
    times.push(Number(process.hrtime.bigint() - began) / 1000);
  }
}

async function run(duration) {
  const end = process.hrtime.bigint() + BigInt(Math.round(duration * 1e9));
  await Promise.all(Array.from({ length: inFlight }, () => buyUntil(end)));
}

await run(1); // warm up: compiled code, open connections
times.length = errors = 0;
const began = process.hrtime.bigint();
await run(seconds);
const took = Number(process.hrtime.bigint() - began) / 1e9;
times.sort((a, b) => a - b);
const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
console.log(JSON.stringify({ requests: times.length, errors, p50: at(0.5), p99: at(0.99), seconds: took }));
