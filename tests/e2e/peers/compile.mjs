// Compiles Token.sol; prints {"runtime": "0x..."}: the code that `anvil_setCode` puts at the address of USDC.
import { readFileSync } from "node:fs";
import solc from "solc";

const source = readFileSync(new URL("Token.sol", import.meta.url), "utf8");
const input = {
  language: "Solidity",
  sources: { "Token.sol": { content: source } },
  settings: {
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
console.log(JSON.stringify({ runtime: "0x" + output.contracts["Token.sol"].Token.evm.deployedBytecode.object }));
