// What the scripts here share: the test chain seen through viem, and a facilitator of the official packages on top.
import { createWalletClient, defineChain, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmSchemeV1 } from "@x402/evm/exact/v1/facilitator";

export const USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
export const NETWORK = "eip155:84532";
// Accounts 0 and 1 of anvil's well-known mnemonic: the facilitator pays gas, the payee receives.
export const FACILITATOR_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
export const PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

export function connect(rpc, key = FACILITATOR_KEY) {
  const chain = defineChain({
    id: 84532,
    name: "Base Sepolia on this machine",
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [rpc] } },
  });
  const account = privateKeyToAccount(key);
  const client = createWalletClient({ account, chain, transport: http(rpc), pollingInterval: 20 });
  return client.extend(publicActions);
}

// One settlement after the other: the facilitator has one account, and its transactions carry consecutive nonces.
function inTurn(work) {
  let last = Promise.resolve();
  return (...given) => {
    const next = last.then(() => work(...given));
    last = next.catch(() => {});
    return next;
  };
}

export function makeFacilitator(rpc) {
  const client = connect(rpc);
  const signer = toFacilitatorEvmSigner({
    address: client.account.address,
    readContract: (call) => client.readContract(call),
    verifyTypedData: (call) => client.verifyTypedData(call),
    writeContract: (call) => client.writeContract(call),
    sendTransaction: (call) => client.sendTransaction(call),
    waitForTransactionReceipt: (call) => client.waitForTransactionReceipt(call),
    getCode: (call) => client.getCode(call),
  });
  const facilitator = new x402Facilitator()
    .register(NETWORK, new ExactEvmScheme(signer))
    .registerV1("base-sepolia", new ExactEvmSchemeV1(signer));
  return {
    supported: () => facilitator.getSupported(),
    verify: (payload, requirements) => facilitator.verify(payload, requirements),
    settle: inTurn((payload, requirements) => facilitator.settle(payload, requirements)),
  };
}
