"""Certificates for tests and measurements: an authority, and what it signs, made with the openssl command in a directory."""

import os
import subprocess


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.decode()}")
    return done.stdout


class Pki:
    """Files of a new authority and its certificates in `directory`. Everybody may read them: Millrace runs as nobody."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.authority = self._path("authority.pem")
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                      "-subj", "/CN=Test authority", "-keyout", self._path("authority.key"), "-out", self.authority)

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _openssl(self, *arguments):
        openssl(*arguments)
        for name in os.listdir(self.directory):
            os.chmod(self._path(name), 0o644)

    def certificate(self, file, *names, key="ec", days=30):
        """Makes FILE.pem and FILE.key, for the names, signed by the authority; returns both paths."""
        kinds = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
        chain, key_file, request, extensions = self._paths(file)
        with open(extensions, "w", encoding="utf-8") as text:
            text.write("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
            text.write("\ncrlDistributionPoints=URI:http://authority.test/crl\n")
        self._openssl("req", "-new", "-newkey", *kinds[key], "-nodes", "-subj", f"/CN={names[0]}", "-keyout", key_file,
                      "-out", request)
        self._sign(file, days, "-CAcreateserial")
        return chain, key_file

    def renew(self, file, serial, days=30):
        """Replaces FILE.pem by a certificate with this serial number for the same key and names."""
        self._sign(file, days, "-set_serial", str(serial))

    def _paths(self, file):
        return [self._path(f"{file}.{end}") for end in ("pem", "key", "csr", "ext")]

    def _sign(self, file, days, *serial):
        chain, _, request, extensions = self._paths(file)
        self._openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self._path("authority.key"), *serial,
                      "-days", str(days), "-extfile", extensions, "-out", chain)


def listener_tls(*certificates, more=""):
    """The tables of TLS for a listener: certificates are pairs of paths."""
    text = f"[listener.tls]\n{more}\n"
    return text + "".join(f'[[listener.tls.certificate]]\nchain = "{chain}"\nkey = "{key}"\n' for chain, key in certificates)
