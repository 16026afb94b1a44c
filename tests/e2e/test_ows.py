"""The vault, read and written both ways by us and by the official Open Wallet Standard package."""
import json
import unittest

from harness import ows
from harness.case import Case, sandbox
from harness.gate import Gate

TYPED = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                         {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}],
        "TransferWithAuthorization": [{"name": name, "type": kind} for name, kind in (
            ("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256"),
            ("validBefore", "uint256"), ("nonce", "bytes32"))],
    },
    "primaryType": "TransferWithAuthorization",
    "domain": {"name": "USDC", "version": "2", "chainId": 84532,
               "verifyingContract": "0x036CbD53842c5426634e7929541eC2318f3dCF7e"},
}


class OpenWalletStandard(Case):
    def setUp(self):
        self.gate = self.make_gate(start=False, agent=False)
        self.vault = str(self.gate.vault)

    def evm_address(self, info):
        return next(one["address"] for one in info["accounts"] if one["chainId"].startswith("eip155"))

    def test_our_wallet_is_read_by_the_official_package(self):
        address = self.gate.make_wallet("ours")
        info = ows.call("getWallet", "ours", self.vault)
        self.assertEqual(address, self.evm_address(info))
        phrase = ows.call("exportWallet", "ours", ows.PASSPHRASE, self.vault)
        self.assertIn(len(phrase.split()), (12, 24))
        self.assertEqual(address, ows.call("deriveAddress", phrase, "evm"))
        for account in info["accounts"]:
            family = account["chainId"].split(":")[0]
            names = {"eip155": "ethereum", "bip122": "bitcoin", "fil": "filecoin"}
            self.assertEqual(account["address"], ows.call("deriveAddress", phrase, names.get(family, family)), family)

    def test_their_wallet_is_read_by_us(self):
        info = ows.call("createWallet", "theirs", ows.PASSPHRASE, 12, self.vault)
        listed = self.gate.aegis("wallet", "list").stdout
        self.assertIn("theirs", listed)
        self.assertIn(self.evm_address(info), self.gate.aegis("wallet", "export-address", "theirs").stdout)

    def test_an_agent_pays_from_their_wallet(self):
        info = ows.call("createWallet", "theirs", ows.PASSPHRASE, 12, self.vault)
        agent = self.gate.make_agent("buyer", wallet="theirs")
        self.gate.start()
        self.assert_settled(agent.get(sandbox().url + "/weather"))
        self.assertEqual(1, len(sandbox().settlements(self.evm_address(info))))

    def test_an_agent_pays_from_their_private_key_wallet(self):
        key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
        info = ows.call("importWalletPrivateKey", "theirs", key, ows.PASSPHRASE, self.vault)
        agent = self.gate.make_agent("buyer", wallet="theirs")
        self.gate.start()
        before = len(sandbox().settlements(self.evm_address(info)))
        self.assert_settled(agent.get(sandbox().url + "/weather"))
        self.assertEqual(before + 1, len(sandbox().settlements(self.evm_address(info))))

    def test_their_api_key_is_taken_by_the_gate(self):
        info = ows.call("createWallet", "theirs", ows.PASSPHRASE, 12, self.vault)
        key = ows.call("createApiKey", "agent", [info["id"]], ["limits"], ows.PASSPHRASE, None, self.vault)
        self.gate.start()
        from harness.agent import Agent
        self.assert_settled(Agent(self.gate.address, key["token"]).get(sandbox().url + "/weather"))

    def test_our_api_key_signs_in_the_official_package(self):
        """With a policy that stock OWS can judge; a message, because 1.2.4 signs no typed data with a token."""
        address = self.gate.make_wallet("ours")
        self.gate.write_policy({"id": "base", "name": "base", "version": 1, "created_at": "2026-01-01T00:00:00Z",
                                "rules": [{"type": "allowed_chains", "chain_ids": ["eip155:84532"]}], "action": "deny"})
        agent = self.gate.make_agent("both", wallet="ours", policies=["base"])
        by_token = ows.call("signMessage", "ours", "eip155:84532", "hello", agent.token, None, None, self.vault)
        by_owner = ows.call("signMessage", "ours", "eip155:84532", "hello", ows.PASSPHRASE, None, None, self.vault)
        self.assertEqual(by_owner, by_token)
        with self.assertRaises(ows.Refused):
            ows.call("signMessage", "ours", "eip155:1", "hello", agent.token, None, None, self.vault)
        listed = ows.call("listApiKeys", self.vault)
        self.assertIn("both", json.dumps(listed))
        self.assertTrue(address)

    def test_our_policy_documents_deny_in_stock_ows_without_a_gate(self):
        """A document that names our plugin also names aegis-policy, so it is never allow-all for stock OWS."""
        self.gate.make_wallet("ours")
        agent = self.gate.make_agent("both", wallet="ours")
        with self.assertRaises(ows.Refused):
            ows.call("signMessage", "ours", "eip155:84532", "hello", agent.token, None, None, self.vault)

    def test_signatures_equal_the_official_ones(self):
        self.gate.make_wallet("ours")
        agent = self.gate.make_agent("buyer", wallet="ours")
        self.gate.start()
        from harness.origin import Seller
        seller = Seller()
        self.addCleanup(seller.close)
        for number in range(8):
            self.assert_settled(agent.get(f"{seller.url}/{number}"))
        for _, given in seller.paid_requests:
            message = given["payload"]["authorization"]
            typed = json.dumps({**TYPED, "message": message})
            official = ows.call("signTypedData", "ours", "eip155:84532", typed, ows.PASSPHRASE, None, self.vault)
            self.assertEqual("0x" + official["signature"].removeprefix("0x"), given["payload"]["signature"])

    def test_deleted_official_wallet_stops_paying(self):
        ows.call("createWallet", "theirs", ows.PASSPHRASE, 12, self.vault)
        agent = self.gate.make_agent("buyer", wallet="theirs")
        self.gate.config["payment"] = {"key_cache_seconds": 0, "identity_cache_ms": 0}
        self.gate.write_config()
        self.gate.start()
        self.assert_settled(agent.get(sandbox().url + "/weather"))
        ows.call("deleteWallet", "theirs", self.vault)
        answer = agent.get(sandbox().url + "/weather?again")
        self.assertIn(answer.status, (403, 407, 503), answer)


class Permissions(unittest.TestCase):
    def test_a_vault_that_others_can_read_is_refused(self):
        gate = Gate()
        gate.make_wallet("main")
        wallet = next((gate.vault / "wallets").glob("*.json"))
        wallet.chmod(0o644)
        done = gate.aegis("key", "create", "x", "--wallet", "main", "--passphrase-file", gate.folder / "passphrase",
                          check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn(str(wallet.name), done.stderr)

    def test_files_are_secret(self):
        gate = Gate()
        gate.make_wallet("main")
        gate.make_agent("x")
        for path in [*(gate.vault / "wallets").iterdir(), *(gate.vault / "keys").iterdir()]:
            self.assertEqual(0, path.stat().st_mode & 0o077, path)
