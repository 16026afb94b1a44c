"""One logical request, one authorization (DESIGN I7), with and without an idempotency key."""
import time

from harness.agent import in_parallel
from harness.case import Case
from harness.origin import Seller, challenge, entry, plain, settled, slowly


class Retry(Case):
    def seller(self, *arguments, **options):
        seller = Seller(*arguments, **options)
        self.addCleanup(seller.close)
        return seller

    def setUp(self):
        self.gate = self.make_gate()
        self.get = self.gate.agent.get

    def test_after_settlement_an_equal_request_is_a_new_purchase(self):
        seller = self.seller()
        for _ in range(2):
            self.assert_settled(self.get(seller.url + "/"))
        self.assertEqual(2, len(set(seller.nonces())))

    def test_two_at_once_are_two_purchases(self):
        seller = self.seller(paid=lambda head, body, given, connection: slowly(0.5, settled(given)))
        for answer in in_parallel(2, lambda number: self.get(seller.url + "/")):
            self.assert_settled(answer)
        self.assertEqual(2, len(set(seller.nonces())))

    def test_repeated_at_once_through_another_worker(self):
        """Whoever has a bad answer in hand and repeats the request at once gets the same payment, whichever worker it meets:
        the outcome is known to the keeper before the agent can know it."""
        gate = self.make_gate(workers=2)
        bad = [lambda: challenge(entry(), error="no"), lambda: plain(500, b"broken"), lambda: None]
        seller = self.seller(paid=lambda head, body, given, connection: bad[hash(head) % 3]())

        def repeat(number):
            for request in range(25):
                for _ in range(3):
                    gate.agent.get(f"{seller.url}/{number}/{request}")
        self.assertEqual([None] * 4, in_parallel(4, repeat))
        nonces = {}
        for head, given in seller.paid_requests:
            nonces.setdefault(head.split(b" ")[1], set()).add(given["payload"]["authorization"]["nonce"])
        self.assertEqual({}, {path: found for path, found in nonces.items() if len(found) > 1})

    def test_two_at_once_with_one_key_are_one_purchase(self):
        seller = self.seller(paid=lambda head, body, given, connection: slowly(0.5, settled(given)))
        key = {"Idempotency-Key": "order-1"}
        answers = in_parallel(2, lambda number: self.get(seller.url + "/", headers=key))
        self.assertEqual([200, 409], sorted(one.status for one in answers))
        denied = next(one for one in answers if one.status == 409)
        self.assert_denied(denied, "idempotency_key_in_use", 409)
        self.assertEqual(1, len(set(seller.nonces())))

    def test_settled_key_does_not_pay_again(self):
        seller = self.seller()
        key = {"Idempotency-Key": "order-2"}
        first = self.assert_settled(self.get(seller.url + "/", headers=key))
        again = self.get(seller.url + "/", headers=key)
        self.assertEqual(first, again.payment[0], again)
        self.assertEqual(1, len(set(seller.nonces())))

    def test_settled_stays_settled_when_the_seller_refuses_the_repetition(self):
        times = []

        def paid(head, body, given, connection):
            times.append(1)
            return settled(given) if len(times) == 1 else challenge(entry(), error="nonce already used")
        seller = self.seller(paid=paid)
        key = {"Idempotency-Key": "order-4"}
        first = self.assert_settled(self.get(seller.url + "/", headers=key))
        again = self.get(seller.url + "/", headers=key)
        self.assertEqual((402, (first, "settled")), (again.status, again.payment), again)

    def test_key_under_another_request_is_refused(self):
        seller = self.seller()
        key = {"Idempotency-Key": "order-3"}
        self.assert_settled(self.get(seller.url + "/a", headers=key))
        self.assert_denied(self.get(seller.url + "/b", headers=key), "idempotency_key_reused", 422)

    def test_other_body_is_another_request(self):
        seller = self.seller(paid=lambda head, body, given, connection: None)
        for body in (b"one", b"two", b"one"):
            self.gate.agent.post(seller.url + "/", body)
        nonces = seller.nonces()
        self.assertEqual(nonces[0], nonces[2])
        self.assertNotEqual(nonces[0], nonces[1])

    def test_other_method_query_and_agent_are_other_requests(self):
        seller = self.seller(paid=lambda head, body, given, connection: None)
        self.get(seller.url + "/?a")
        self.get(seller.url + "/?b")
        self.gate.agent.request("DELETE", seller.url + "/?a")
        self.gate.make_agent("second").get(seller.url + "/?a")
        self.assertEqual(4, len(set(seller.nonces())))

    def test_same_payment_after_a_restart(self):
        """The gate is killed while the seller works; the agent's retry carries the same nonce and signature."""
        calls = iter([2.0, 0.0])
        seller = self.seller(paid=lambda head, body, given, connection: slowly(next(calls), settled(given)))
        import threading
        first = threading.Thread(target=lambda: self.ignore(lambda: self.get(seller.url + "/", timeout=20)))
        first.start()
        deadline = time.monotonic() + 10
        while not seller.paid_requests and time.monotonic() < deadline:
            time.sleep(0.02)
        self.gate.kill_all()
        first.join()
        self.gate.start()
        self.assert_settled(self.get(seller.url + "/"))
        self.assertEqual(2, len(seller.paid_requests))
        self.assertEqual(1, len({given["payload"]["signature"] for _, given in seller.paid_requests}))
        self.check_invariants(self.gate, [])

    @staticmethod
    def ignore(work):
        try:
            work()
        except Exception:  # the gate dies under it: that is the point
            pass

    def test_paid_request_is_sent_at_most_once_on_a_stale_connection(self):
        """The seller answers the first request and closes when it sees the payment: nothing is sent a second time."""
        seller = self.seller(paid=lambda head, body, given, connection: None)
        answer = self.get(seller.url + "/")
        self.assertEqual(502, answer.status, answer)
        self.assertEqual(1, len(seller.paid_requests))

    def test_free_get_on_a_stale_connection_is_repeated(self):
        """A pooled connection that the origin has closed meanwhile is no reason to fail a GET."""
        from harness.origin import Origin
        served = []

        def once_per_connection(head, body, connection):
            served.append(head)
            return plain(200, b"ok") if len(served) % 2 else None

        origin = Origin(once_per_connection)
        self.addCleanup(origin.close)
        self.assertEqual(200, self.get(origin.url + "/1").status)
        self.assertEqual(200, self.get(origin.url + "/2").status)

    def test_post_on_a_stale_connection_is_not_repeated(self):
        from harness.origin import Origin
        origin = Origin(lambda head, body, connection: plain(200, b"ok") if head.startswith(b"GET") else None)
        self.addCleanup(origin.close)
        self.assertEqual(200, self.get(origin.url + "/").status)
        self.assertEqual(502, self.gate.agent.post(origin.url + "/", b"x").status)
        self.assertEqual(1, sum(head.startswith(b"POST") for head, _ in origin.requests))

    def test_lifetime_over_a_new_payment_may_be_made(self):
        """After validBefore and its grace nothing can be repeated any more; the old money stays counted."""
        gate = self.make_gate(config={"payment": {"lifetime_seconds": 5}})
        seller = self.seller(lambda head: challenge(entry(maxTimeoutSeconds=1)),
                             paid=lambda head, body, given, connection: None)
        gate.agent.get(seller.url + "/")
        time.sleep(33)
        gate.agent.get(seller.url + "/")
        self.assertEqual(2, len(set(seller.nonces())))
        spent = [one["amount"] for one in gate.payments().values()]
        self.assertEqual([10_000, 10_000], spent)
