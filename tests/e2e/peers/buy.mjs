// The official client, without a gate: node buy.mjs fetch2|fetch1 URL PRIVATE-KEY. Prints {"status", "body", "settlement"}.
import { createWalletClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { ExactEvmScheme } from "@x402/evm";
import { wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { wrapFetchWithPayment } from "x402-fetch";

globalThis.crypto ??= (await import("node:crypto")).webcrypto; // Node 18

const [how, url, key] = process.argv.slice(2);
const account = privateKeyToAccount(key);

function makeFetch() {
  if (how === "fetch1") {
    return wrapFetchWithPayment(fetch, createWalletClient({ account, chain: baseSepolia, transport: http() }));
  }
  const schemes = [{ network: "eip155:*", client: new ExactEvmScheme(account) }];
  return wrapFetchWithPaymentFromConfig(fetch, { schemes });
}

const response = await makeFetch()(url);
const header = response.headers.get("payment-response") ?? response.headers.get("x-payment-response");
const settlement = header === null ? null : JSON.parse(Buffer.from(header, "base64").toString());
console.log(JSON.stringify({ status: response.status, body: await response.text(), settlement }));
