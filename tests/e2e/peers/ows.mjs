// Calls one function of the official Open Wallet Standard package: node ows.mjs FUNCTION 'JSON array of arguments'.
// Prints its result as JSON; on failure the message on standard error, status 1.
import { createRequire } from "node:module";

const ows = createRequire(import.meta.url)("@open-wallet-standard/core");
const [name, text] = process.argv.slice(2);
try {
  const result = ows[name](...JSON.parse(text));
  console.log(JSON.stringify(result ?? null));
} catch (error) {
  console.error(String(error.message ?? error));
  process.exit(1);
}
