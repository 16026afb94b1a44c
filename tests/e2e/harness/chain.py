"""A real chain on this machine: anvil as Base Sepolia, with a token where USDC is."""
import hashlib
import json
import subprocess
import urllib.request

from . import where

NETWORK = "eip155:84532"
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
USED = "0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5"
CANCELED = "0x1cdd46ff242716cdaa72d159d339a485b3438398348d68f09d7c8c0a59353d81"


def _runtime_code():
    """The token's code; compiled once for each version of its source."""
    source = where.PEERS / "Token.sol"
    digest = hashlib.sha256(source.read_bytes() + (where.PEERS / "compile.mjs").read_bytes()).hexdigest()
    cached = where.PEERS / "node_modules" / ".cache" / f"aegis-token-{digest[:16]}.json"
    if not cached.exists():
        compiled = subprocess.run(["node", "compile.mjs"], cwd=where.PEERS, check=True, capture_output=True).stdout
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(compiled)
    return json.loads(cached.read_text())["runtime"]


def _word(address):
    return address.lower().removeprefix("0x").rjust(64, "0")


class Chain:
    def __init__(self):
        self.port = where.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        anvil = next((where.PEERS / "node_modules" / "@foundry-rs").glob("anvil-linux-*/bin/anvil"))
        self.process = subprocess.Popen([anvil, "--chain-id", "84532", "--port", str(self.port), "--silent"])
        where.wait_until(self._answers, 20, "anvil's answer")
        self.rpc("anvil_setCode", USDC, _runtime_code())

    def _answers(self):
        try:
            return self.rpc("eth_chainId") == hex(84532)
        except OSError:
            return False

    def stop(self):
        where.stop(self.process)

    def rpc(self, method, *params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _send(self, data):
        sender = self.rpc("eth_accounts")[9]
        sent = self.rpc("eth_sendTransaction", {"from": sender, "to": USDC, "data": data, "gas": hex(500000)})
        receipt = where.wait_until(lambda: self.rpc("eth_getTransactionReceipt", sent), 10, "the transaction's receipt")
        assert receipt["status"] == "0x1", receipt

    def mint(self, address, amount):
        """Gives `amount` atomic units."""
        self._send("0x40c10f19" + _word(address) + f"{amount:064x}")

    def balance(self, address):
        return int(self.rpc("eth_call", {"to": USDC, "data": "0x70a08231" + _word(address)}, "latest"), 16)

    def nonce_used(self, address, nonce):
        data = "0xe94a0102" + _word(address) + nonce.removeprefix("0x")
        return int(self.rpc("eth_call", {"to": USDC, "data": data}, "latest"), 16) == 1

    def mine(self, blocks=1):
        self.rpc("anvil_mine", hex(blocks))

    def cancel(self, authorizer, nonce, signature):
        """cancelAuthorization with a signature of 65 bytes as hex."""
        raw = signature.removeprefix("0x")
        r, s, v = raw[:64], raw[64:128], raw[128:]
        self._send("0x5a049a70" + _word(authorizer) + nonce.removeprefix("0x") + v.rjust(64, "0") + r + s)

    def transfers(self, payer=None):
        """Every transfer by authorization: [{payer, payee, value, nonce, transaction}], oldest first."""
        used = {}
        found = []
        query = {"address": USDC, "fromBlock": "0x0", "topics": [[TRANSFER, USED]]}
        for log in self.rpc("eth_getLogs", query):
            if log["topics"][0] == USED:
                used[log["transactionHash"]] = log["topics"][2]
            elif log["transactionHash"] in used:
                found.append({
                    "payer": "0x" + log["topics"][1][26:],
                    "payee": "0x" + log["topics"][2][26:],
                    "value": int(log["data"], 16),
                    "nonce": used[log["transactionHash"]],
                    "transaction": log["transactionHash"],
                })
        return [one for one in found if payer is None or one["payer"] == payer.lower()]
