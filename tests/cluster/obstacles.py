"""What stands in a deployment's way on a real cluster.

A user with few rights, a webhook that refuses, a kubectl that fails.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from slipway.settings import ROOT
from tests import beside
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster

EVERYTHING = ["get", "list", "watch", "create", "patch", "delete"]
RIGHTS = (  # as docs/kubernetes.md lists them
    ("apps", "deployments", EVERYTHING),
    ("", "services", EVERYTHING),
    ("policy", "poddisruptionbudgets", EVERYTHING),
    ("coordination.k8s.io", "leases", ["get", "create", "patch", "delete"]),
    ("apps", "replicasets", ["list"]),
    ("", "pods", ["get", "list", "watch", "create", "delete"]),
    ("", "pods/log", ["get"]),
    ("", "pods/portforward", ["create"]),
)
WORDS = "Unable to connect to the server: net/http: TLS handshake timeout"


def make_user(
    cluster: Cluster, name: str, folder: Path, rights: tuple[tuple[str, str, list[str]], ...]
) -> dict[str, str]:
    """Make an account with rights in the cluster's namespace alone; return the variables with which make uses it."""
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": verbs} for group, resource, verbs in rights]
    rbac = "rbac.authorization.k8s.io"
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": cluster.namespace}]
    role = {"apiGroup": rbac, "kind": "Role", "name": name}
    annotations = {"kubernetes.io/service-account.name": name}
    for each in (
        {"apiVersion": "v1", "kind": "ServiceAccount"},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "rules": rules},
        {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "roleRef": role, "subjects": subjects},
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"},
    ):
        metadata = {"name": name, "annotations": annotations if each["kind"] == "Secret" else {}}
        cluster.run("apply", "--filename", "-", words=json.dumps(each | {"metadata": metadata}))
    secret: dict[str, str] = wait_until(
        lambda: (cluster.get("secret", name) or {}).get("data", {}), 30, f"the account {name} has no token"
    )
    config = folder / f"{name}.kubeconfig"
    view = ["kubectl", "config", "view", "--raw", "--minify", "--context", cluster.context, "--output", "json"]
    known = json.loads(subprocess.run(view, check=True, capture_output=True).stdout)
    known["users"] = [{"name": name, "user": {"token": base64.b64decode(secret["token"]).decode()}}]
    known["contexts"] = [{"name": name, "context": {"cluster": known["clusters"][0]["name"], "user": name}}]
    config.write_text(json.dumps(known))
    return {"KUBECONFIG": str(config), "CONTEXT": name}


def fail(folder: Path, **variables: str) -> dict[str, str]:
    """Return the variables by which make runs a kubectl that fails.

    At call FAIL_AT, or whenever it is asked what FAIL_LIKE is part of.
    """
    real, calls = shutil.which("kubectl"), folder / "calls"
    calls.write_text("")
    path = f"{ROOT / 'tests' / 'cluster' / 'failing_kubectl'}:{os.environ['PATH']}"
    return {"REAL": str(real), "CALLS": str(calls), "FAIL_WORDS": WORDS, "PATH": path} | variables


@contextmanager
def refusing(cluster: Cluster, folder: Path, resource: str, words: str) -> Iterator[None]:
    """Have an admission webhook refuse whatever is made of a resource in the cluster's namespace, for a while."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {"uid": asked["request"]["uid"], "allowed": False, "status": {"message": words}}
            body = json.dumps(
                {"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": response}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    name = f"{cluster.namespace}-refusing"
    group, _, plural = resource.rpartition("/")
    webhook = {
        "name": "no.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        "timeoutSeconds": 5,
        "clientConfig": {
            "url": f"https://127.0.0.1:{server.server_port}/",
            "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
        },
        "rules": [{"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [plural]}],
        "namespaceSelector": {"matchLabels": {"refused": cluster.namespace}},
    }  # fmt: skip
    kind = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
    }
    with beside.serving(server):
        cluster.run("label", "namespace", cluster.namespace, f"refused={cluster.namespace}", "--overwrite")
        cluster.run("apply", "--filename", "-", words=json.dumps(kind | {"webhooks": [webhook]}))
        try:
            yield
        finally:
            cluster.run("delete", "validatingwebhookconfiguration", name)
