"""TLS, mutual TLS and SASL/SCRAM against a real broker, with certificates made on the spot; and who is not let in hears why."""

import atexit
import datetime
import glob
import pathlib
import re
import time
import unittest

import confluent_kafka

from lib.one_broker import *  # noqa: F403

PASSWORD = "correct horse battery"


class Security(unittest.TestCase):
    refused = {}

    @classmethod
    def setUpClass(cls):
        """Other classes call this too: what those who are refused say in the second minute counts, and other tests fill the first."""
        if cls.refused:
            return
        cls.broker = broker = one_broker()
        broker.create(["odd-secure"])
        broker.send("odd-secure", [*events(0, 20), b"no event"])
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            broker.user(mechanism.lower(), PASSWORD, mechanism)
        cls.certificate = broker.ours.issue("client")
        # Those who are not let in, and what they must say; begun first, as what they say in the second minute counts too.
        for name, settings_, says in (
            ("password", cls.scram("PLAIN", name="plain", password="guessed"), " error .*SASL authentication error"),
            ("scram", cls.scram("SCRAM-SHA-256", name="nobody"), " error .*invalid credentials.*librdkafka .*2.6.1 or newer"),
            ("authority", cls.mutual(ca=broker.strangers.ca), " error .*certificate verify failed"),
            ("expired", cls.mutual(address=broker.expired), " error .*certificate verify failed"),
            # Where the machine is busy the reason comes after the outage was said.
            (
                "no-certificate",
                cls.mutual(certificate=None),
                "(no broker (answers|has answered)|connection to a broker ended).*(alert|Disconnected|SSL|reset)",
            ),
        ):
            serve = reader(f"odd-refused-{name}", "odd-secure", settings_)
            serve.spawn()
            atexit.register(serve.end)  # where tests of other classes alone are run, nobody tears this one down
            cls.refused[name] = (serve, says)
        cls.begun = time.monotonic()

    @classmethod
    def tearDownClass(cls):
        for serve, _ in cls.refused.values():
            serve.end()

    @classmethod
    def scram(cls, mechanism, name=None, password=PASSWORD):
        return {
            "kafka.brokers": cls.broker.scram,
            "kafka.properties.security.protocol": "sasl_ssl",
            "kafka.properties.ssl.ca.location": cls.broker.ours.ca,
            "kafka.properties.sasl.mechanism": mechanism,
            "kafka.properties.sasl.username": name or mechanism.lower(),
            "kafka.properties.sasl.password": password,
        }

    @classmethod
    def mutual(cls, address=None, ca=None, certificate=()):
        certificate = cls.certificate if certificate == () else certificate
        return {
            "kafka.brokers": address or cls.broker.mutual,
            "kafka.properties.security.protocol": "ssl",
            "kafka.properties.ssl.ca.location": ca or cls.broker.ours.ca,
            **(
                {
                    "kafka.properties.ssl.certificate.location": certificate[0],
                    "kafka.properties.ssl.key.location": certificate[1],
                }
                if certificate
                else {}
            ),
        }

    def works(self, name, settings_, env=None):
        out = {"kafka.outputs": "true", "kafka.out_prefix": f"odd-{name}"}
        serve = reader(f"odd-{name}", "odd-secure", {**settings_, **out}, env=env)
        try:
            serve.start()
            status = serve.wait_consumed(21)
            self.assertEqual(status.account.dead_lettered, 1)
            wait_for("the out records", lambda: serve.status().outbox_pending == 0, 30)
            serve.stop()
            self.assertNotIn(PASSWORD, serve.log())
        finally:
            serve.end()
        self.assertEqual(len(self.broker.read(f"odd-{name}.deadletters")), 1)
        self.assertTrue(self.broker.read(f"odd-{name}.tiers") + self.broker.read(f"odd-{name}.scores"))

    def test_mutual_tls(self):
        self.works("mutual", self.mutual())

    def test_plain(self):
        self.works("plain", self.scram("PLAIN", name="plain", password="plain-secret"))

    def test_scram(self):
        """With the newer librdkafka that the Python client brings: Debian 12's cannot log in to Kafka 4, and says so."""
        library = glob.glob(f"{pathlib.Path(confluent_kafka.__file__).parent.parent}/confluent_kafka.libs/librdkafka*.so*")
        self.assertEqual(len(library), 1, library)
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            self.works(mechanism.lower(), self.scram(mechanism), {"LD_PRELOAD": library[0]})

    def test_refused(self):
        """Each says why at once, again after a minute and not more often, and goes on trying; nothing was read."""
        time.sleep(max(0, self.begun + 75 - time.monotonic()))
        for name, (serve, says) in self.refused.items():
            with self.subTest(name):
                said = [line for line in serve.log().splitlines() if re.search(says, line, re.IGNORECASE)]
                self.assertGreaterEqual(len(said), 2, serve.log())
                times = [datetime.datetime.fromisoformat(line.split(" ")[0]).timestamp() for line in said]
                self.assertGreaterEqual(min(b - a for a, b in zip(times, times[1:])), 59, said)
                begun = datetime.datetime.fromisoformat(serve.log().split(" ")[0]).timestamp()
                self.assertLess(times[0] - begun, 30, said)
                self.assertIsNone(serve.process.poll())
                self.assertEqual(serve.status().account.consumed, 0)
                self.assertNotIn("guessed", serve.log())
                serve.stop()


if __name__ == "__main__":
    main()
