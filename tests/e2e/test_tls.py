"""Sellers behind TLS, reached through a reverse route and by /https/HOST/path: who is believed, and who is not paid."""
import http.client

from harness.case import Case, need
from harness.tls import Authority, SecureSeller


@need("openssl")
class Upstream(Case):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()

    def seller(self, certificate, key, **options):
        seller = SecureSeller(certificate, key, **options)
        self.addCleanup(seller.close)
        return seller

    def make(self, **config):
        return self.make_gate(config={"upstream": {"ca_file": str(self.authority.file)}, **config})

    def fetch(self, gate, host, path="/x"):
        """By /https/HOST/path, as a client that cannot be given a proxy asks."""
        connection = http.client.HTTPConnection(gate.address, timeout=30)
        connection.request("GET", f"/https/{host}{path}", headers={"Proxy-Authorization": gate.agent.authorization})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def test_a_good_certificate_is_paid(self):
        seller = self.seller(*self.authority.issue("good"))
        gate = self.make()
        response, body = self.fetch(gate, seller.host)
        self.assertEqual((200, b"paid"), (response.status, body))
        self.assertEqual(1, len(seller.paid_requests))
        self.assertIn("state=settled", response.getheader("Aegis-Payment"))
        self.assertEqual(f"https://{seller.host}/x", gate.entries("reserved")[0]["body"]["url"])

    def test_names_are_sent_and_checked(self):
        seller = self.seller(*self.authority.issue("named", names="DNS:localhost"))
        gate = self.make()
        response, _ = self.fetch(gate, seller.host.replace("127.0.0.1", "localhost"))
        self.assertEqual(200, response.status)
        self.assertIn("localhost", seller.names)

    def refused(self, seller, host=None):
        gate = self.make()
        response, body = self.fetch(gate, host or seller.host)
        self.assertEqual(502, response.status, body)
        self.assertEqual([], seller.requests)
        self.assertEqual([], gate.entries("reserved"))

    def test_wrong_name(self):
        self.refused(self.seller(*self.authority.issue("other", names="DNS:other.example")))

    def test_wildcard_in_part_of_a_name(self):
        seller = self.seller(*self.authority.issue("part", names="DNS:local*"))
        self.refused(seller, seller.host.replace("127.0.0.1", "localhost"))

    def test_expired(self):
        self.refused(self.seller(*self.authority.issue("expired", days=(-2, -1))))

    def test_unknown_authority(self):
        self.refused(self.seller(*Authority("Strangers").issue("stranger")))

    def test_self_signed(self):
        other = Authority("itself")
        self.refused(self.seller(other.file, other.folder / "ca.key"))

    def test_intermediate_that_is_no_authority(self):
        certificate, _ = self.authority.issue("leaf")
        leaf, key = self.authority.issue("below", signer="leaf")
        self.refused(self.seller(leaf, key, chain=[certificate]))

    def test_intermediate_that_is_one(self):
        certificate, _ = self.authority.issue("middle", authority=True)
        leaf, key = self.authority.issue("under", signer="middle")
        seller = self.seller(leaf, key, chain=[certificate])
        response, body = self.fetch(self.make(), seller.host)
        self.assertEqual(200, response.status, body)

    def test_plain_server_where_tls_was_asked_for(self):
        from harness.origin import Origin
        plain = Origin()
        self.addCleanup(plain.close)
        response, body = self.fetch(self.make(timeouts={"connect_ms": 1000}), plain.host)
        self.assertIn(response.status, (502, 504), body)
        self.assertEqual([], plain.requests)

    def test_reverse_route_to_tls(self):
        from harness import where
        seller = self.seller(*self.authority.issue("route"))
        port = where.free_port()
        gate = self.make_gate(start=False, config={"upstream": {"ca_file": str(self.authority.file)}})
        gate.config["listeners"].append({"name": "shops", "address": f"127.0.0.1:{port}", "mode": "reverse",
                                         "routes": [{"prefix": "/shop/", "upstream": seller.url + "/"}]})
        gate.write_config()
        gate.start()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/shop/thing", headers={"Proxy-Authorization": gate.agent.authorization})
        response = connection.getresponse()
        self.assertEqual((200, b"paid"), (response.status, response.read()))
        connection.close()

    def test_connect_to_443_says_where_to_go(self):
        gate = self.make()
        host, port = gate.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("CONNECT", "shop.example:443", headers={"Host": "shop.example:443",
                                                                   "Proxy-Authorization": gate.agent.authorization})
        response = connection.getresponse()
        self.assertEqual(501, response.status)
        self.assertIn(b"/https/", response.read())
        connection.close()
