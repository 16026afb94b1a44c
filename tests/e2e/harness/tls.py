"""Certificates good and bad, made with the openssl command, and a TLS front for an origin."""
import ssl
import subprocess

from . import where
from .origin import Seller


class Authority:
    """A certificate authority in a folder of its own. .file is what a gate may be told to trust."""

    def __init__(self, name="Tests"):
        self.folder = where.make_folder("ca")
        self.file = self.folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                      "-out", "ca.pem", "-days", "30", "-subj", f"/CN={name}", "-addext",
                      "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _openssl(self, *words, text=None):
        subprocess.run(["openssl", *map(str, words)], cwd=self.folder, check=True, capture_output=True, input=text, text=True)

    def issue(self, name, names="IP:127.0.0.1,DNS:localhost", days=(0, 30), authority=False, signer="ca"):
        """Signs a certificate; (certificate, key) as paths. `days` from now: not before, not after."""
        (self.folder / f"{name}.ext").write_text(
            f"basicConstraints=critical,CA:{'TRUE' if authority else 'FALSE'}\nsubjectAltName={names}\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            + ("keyUsage=critical,keyCertSign\n" if authority else "keyUsage=critical,digitalSignature\n"))
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                      f"{name}.csr", "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-CAcreateserial",
                      "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-days", days[1] if days[1] > 0 else 1)
        if days[1] <= 0:
            self._expire(name, signer)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def _expire(self, name, signer):
        """The same certificate with yesterday as its last day: `openssl ca` takes dates."""
        (self.folder / "index.txt").write_text("")
        (self.folder / "serial").write_text("77\n")
        (self.folder / "ca.conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ncertificate={signer}.pem\n"
            f"private_key={signer}.key\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
        self._openssl("ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext",
                      "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext")


class SecureSeller(Seller):
    """A seller behind TLS; .names has what clients asked for by SNI. `chain`: further certificates to send."""

    def __init__(self, certificate, key, chain=(), **options):
        self.names = []
        bundle = certificate.with_suffix(".bundle")
        bundle.write_text("".join(path.read_text() for path in (certificate, *chain)))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(bundle, key)
        self.context.sni_callback = lambda connection, name, context: self.names.append(name)
        super().__init__(**options)
        self.url = "https://" + self.host

    def _serve(self, connection):
        try:
            connection = self.context.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError):
            return
        super()._serve(connection)
