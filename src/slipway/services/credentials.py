"""The services' secrets.

Created once, kept in `.slipway/`, and mounted into containers as files, which `docker inspect` does not show.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING

from slipway import secret_file
from slipway.settings import STATE

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = STATE / "postgres_password"
WEBHOOK_KEY = STATE / "webhook_key"
FOLDER = STATE / "secrets"  # what the containers have mounted


def password() -> str:
    """Return the database's password."""
    return secret_file.read_or_make(PASSWORD, lambda: secrets.token_hex(24))


def webhook_key() -> str:
    """Return the key (Fernet's) that MLflow encrypts its webhooks' secrets with.

    With another one it could not sign its events.
    """
    return secret_file.read_or_make(WEBHOOK_KEY, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def write(folder: Path = FOLDER) -> dict[str, str]:
    """Write the files that compose mounts.

    Return its variables for them: the folder, and a digest that changes with what is in them.

    Containers run as other users, and a mounted file keeps its mode: so each is readable by all, in a folder that
    only we may enter.
    """
    uri = f"postgresql+psycopg2://mlflow:{password()}@postgres:5432/mlflow"
    contents = {"postgres_password": password(), "store_uri": uri, "webhook_key": webhook_key()}
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, content in contents.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            file.unlink(missing_ok=True)
            file.write_text(content, encoding="utf-8")
        file.chmod(0o644)
    return {
        "SECRETS": str(folder),
        "SECRETS_DIGEST": hashlib.sha256("\n".join(contents.values()).encode()).hexdigest()[:12],
    }
