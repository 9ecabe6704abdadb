"""Healthy means that the API answers under every name that clients use: /health stays 200 when they are all refused."""

import os
import urllib.request

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands between us and ourselves
for name in os.environ["SLIPWAY_NAMES"].split(","):
    request = urllib.request.Request("http://127.0.0.1:5000/api/2.0/mlflow/experiments/search?max_results=1")
    request.add_header("Host", f"{name}:5000")
    direct.open(request, timeout=5)  # an answer other than 200 raises, and the traceback names the status
