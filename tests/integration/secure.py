"""TLS and mutual TLS with certificates made on the spot, bearer tokens over it, and whoever does not bring what is asked for."""

import subprocess
import unittest

import grpc

from lib.harness import *  # noqa: F403
from lib.harness import admin_pb2, admin_pb2_grpc, flags_pb2, flags_pb2_grpc, key_users_pb2, key_users_pb2_grpc, settings

TOKENS = {role: f"{role}-token-0123456789abcdef" for role in ("member", "platform", "moderator", "admin")}


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {words}: {done.stderr}"


class Authority:
    """An authority of this run's own, and what it signs."""

    def __init__(self, where, name):
        self.where, self.name = where, name
        self.ca = where / f"{name}.pem"
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name}", "-keyout", where / f"{name}.key", "-out", self.ca),
        )

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", days=2):
        """(certificate, key) for a server or client."""
        key, request, made = (self.where / f"{name}.{end}" for end in ("key", "csr", "pem"))
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName={names}", "-keyout", key, "-out", request),
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.where / f"{self.name}.key"),
            *("-CAcreateserial", "-days", days, "-copy_extensions", "copy", "-out", made),
        )
        return made, key


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.where = folder("tls")
        cls.ours, cls.strangers = Authority(cls.where, "ours"), Authority(cls.where, "strangers")
        cls.server = cls.ours.issue("server")
        cls.client = cls.ours.issue("client")
        cls.impostor = cls.strangers.issue("impostor")
        tokens = cls.where / "tokens"
        tokens.write_text("".join(f"{token} a-{role} {role}\n" for role, token in TOKENS.items()), encoding="utf-8")
        tokens.chmod(0o600)
        common = {"service.tls_cert": cls.server[0], "service.tls_key": cls.server[1], "service.tokens": tokens}
        cls.one_sided = Serve(folder("tls-data"), common)
        cls.mutual = Serve(folder("mtls-data"), {**common, "service.tls_client_ca": cls.ours.ca})
        cls.one_sided.spawn(), cls.mutual.spawn()
        for serve in (cls.one_sided, cls.mutual):
            wait_for(lambda s=serve: f"no service:\n{s.log()}", lambda s=serve: s.said("serving"), 30)

    @classmethod
    def tearDownClass(cls):
        cls.one_sided.end(), cls.mutual.end()

    # Another library's client.
    def call(self, serve, role="admin", ca=None, client=None, plain=False, method="status"):
        """The status code of a call; None where it succeeded."""
        if plain:
            channel = grpc.insecure_channel(serve.address)
        else:
            credentials = grpc.ssl_channel_credentials(
                root_certificates=(ca or self.ours.ca).read_bytes(),
                private_key=client[1].read_bytes() if client else None,
                certificate_chain=client[0].read_bytes() if client else None,
            )
            channel = grpc.secure_channel(f"localhost:{serve.port}", credentials)
        metadata = [("authorization", f"Bearer {TOKENS.get(role, role)}")] if role else []
        with channel:
            calls = {
                "status": lambda: admin_pb2_grpc.AdminStub(channel).GetStatus(
                    admin_pb2.GetStatusRequest(), metadata=metadata, timeout=5
                ),
                "flags": lambda: flags_pb2_grpc.FlagsStub(channel).ListFlags(
                    flags_pb2.ListFlagsRequest(), metadata=metadata, timeout=5
                ),
                "top": lambda: key_users_pb2_grpc.KeyUsersStub(channel).GetLeaderboard(
                    key_users_pb2.GetLeaderboardRequest(), metadata=metadata, timeout=5
                ),
            }
            try:
                calls[method]()
            except grpc.RpcError as error:
                return error.code()
        return None

    def test_one_sided(self):
        serve = self.one_sided
        self.assertIsNone(self.call(serve))
        self.assertEqual(self.call(serve, plain=True), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.call(serve, ca=self.strangers.ca), grpc.StatusCode.UNAVAILABLE)

    def test_roles_over_it(self):
        for serve, client in ((self.one_sided, None), (self.mutual, self.client)):
            for role, method, expected in (
                ("admin", "status", None),
                ("moderator", "flags", None),
                ("platform", "top", None),
                ("platform", "flags", grpc.StatusCode.PERMISSION_DENIED),
                ("member", "flags", grpc.StatusCode.PERMISSION_DENIED),
                ("nobody-has-this-token-0123", "top", grpc.StatusCode.UNAUTHENTICATED),
                (None, "top", grpc.StatusCode.UNAUTHENTICATED),
            ):
                self.assertEqual(self.call(serve, role, client=client, method=method), expected, f"{role} {method}")

    def test_mutual(self):
        serve = self.mutual
        self.assertIsNone(self.call(serve, client=self.client))
        for wrong in (
            {},
            {"client": self.impostor},
            {"client": self.client, "ca": self.strangers.ca},
            {"plain": True},
        ):
            self.assertEqual(self.call(serve, **wrong), grpc.StatusCode.UNAVAILABLE, wrong)
        self.assertIsNone(self.call(serve, client=self.client))  # nobody's mistake stops it

    def ctl(self, serve, *words, expect=0, role="admin"):
        return run(
            *("ctl", "status", "--address", f"localhost:{serve.port}", "--timeout", 5, *words),
            expect=expect,
            env={"BELLWETHER_CTL_TOKEN": TOKENS.get(role, role)} if role else {},
        )

    def test_ctl(self):
        own = ("--tls-cert", self.client[0], "--tls-key", self.client[1])
        ca = ("--tls-ca", self.ours.ca)
        self.assertIn("records: consumed", self.ctl(self.one_sided, *ca).out)
        self.assertIn("records: consumed", self.ctl(self.mutual, *ca, *own).out)
        # The name of the certificate, where the address is another one.
        other_name = run(
            *("ctl", "status", "--address", self.one_sided.address, "--timeout", 5, *ca, "--tls-name", "localhost"),
            env={"BELLWETHER_CTL_TOKEN": TOKENS["admin"]},
        )
        self.assertIn("records: consumed", other_name.out)
        for words, serve in (
            ((), self.one_sided),  # no TLS at all
            (("--tls-ca", self.strangers.ca), self.one_sided),
            ((*ca, "--tls-name", "elsewhere"), self.one_sided),
            (ca, self.mutual),  # no certificate of its own
            ((*ca, "--tls-cert", self.impostor[0], "--tls-key", self.impostor[1]), self.mutual),
        ):
            refused = self.ctl(serve, *words, expect=1)
            self.assertIn("cannot be reached", refused.err)
            self.assertIn("TLS", refused.err)
        self.assertIn("token", self.ctl(self.one_sided, *ca, role=None, expect=1).err)
        self.assertIn("member", self.ctl(self.one_sided, *ca, role="member", expect=1).err)
        # Half a pair, and files that are not there, are bad usage.
        half = self.ctl(self.mutual, *ca, "--tls-cert", self.client[0], expect=2)
        self.assertIn("--tls-key", half.err)
        self.ctl(self.mutual, "--tls-ca", self.where / "not-there", expect=2)

    def refuses(self, changes, *words):
        options = {
            **self.one_sided.settings,
            "engine.data_dir": folder("tls-refused"),
            "metrics.listen": "",
            "service.listen": f"127.0.0.1:{free_port()}",
            **changes,
        }
        refused = run("serve", *settings(options), expect=None, timeout=30)
        self.assertIn(refused.code, (1, 2), refused)
        for word in words:
            self.assertIn(str(word), refused.err)

    def test_what_serve_refuses(self):
        self.refuses({"service.tls_key": ""}, "service.tls_cert", "service.tls_key")
        self.refuses({"service.tls_cert": self.where / "not-there"}, "service.tls_cert", "not-there")
        self.refuses({"service.tls_key": self.impostor[1]}, "service.tls_key", "do not belong together")
        (self.where / "nonsense").write_text("no certificate\n", encoding="utf-8")
        self.refuses({"service.tls_cert": self.where / "nonsense"}, "service.tls_cert", "nonsense")
        self.refuses({"service.tls_client_ca": self.where / "nonsense"}, "service.tls_client_ca", "nonsense")


if __name__ == "__main__":
    unittest.main(verbosity=2)
