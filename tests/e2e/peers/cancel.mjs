// Signs CancelAuthorization for a nonce: node cancel.mjs "the wallet's phrase" NONCE. Prints the signature.
import { mnemonicToAccount } from "viem/accounts";
import { USDC } from "./chain.mjs";

const [phrase, nonce] = process.argv.slice(2);
const account = mnemonicToAccount(phrase);
const signature = await account.signTypedData({
  domain: { name: "USDC", version: "2", chainId: 84532, verifyingContract: USDC },
  types: { CancelAuthorization: [{ name: "authorizer", type: "address" }, { name: "nonce", type: "bytes32" }] },
  primaryType: "CancelAuthorization",
  message: { authorizer: account.address, nonce },
});
console.log(signature);
