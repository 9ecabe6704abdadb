"""Who may change something through the deployer."""

from pathlib import Path

import pytest

from slipway import secret_file
from slipway.deployer import auth
from slipway.deployer.auth import Denied, Guard


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a token is made."""
    return tmp_path / "deployer" / "token"


def refuse(checked: Guard, header: str | None, address: str = "a") -> int:
    """Return the status of a refusal."""
    with pytest.raises(Denied) as denied:
        checked.check(address, header)
    return denied.value.status


def test_a_token_is_made_once(file: Path) -> None:
    """The first call makes a token that only its owner may read; the second returns the same."""
    token = secret_file.read_or_make(file)

    assert len(token) > 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret_file.read_or_make(file) == token


def test_an_empty_file_is_no_token(file: Path) -> None:
    """A file that a power cut or a hand has emptied lets nobody in: a new token is made."""
    token = secret_file.read_or_make(file)
    file.write_text("")
    checked = Guard(file)

    assert refuse(checked, "Bearer ") == 403
    assert refuse(checked, f"Bearer {token}") == 403
    assert len(secret_file.read_or_make(file)) > 32
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_right_token_passes(file: Path) -> None:
    """A bearer with the token may, whatever the case of the word."""
    checked = Guard(file)
    checked.check("a", f"Bearer {file.read_text()}")
    checked.check("a", f"bearer  {file.read_text()} ")


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic x", "Bearer ", "Bearer ü", "nonsense"])
def test_a_wrong_token_is_forbidden(file: Path, header: str) -> None:
    """A wrong token is 403, none at all 401."""
    assert refuse(Guard(file), header) == 403
    assert refuse(Guard(file), None) == 401


def test_guessing_comes_to_an_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five wrong tokens an address waits with more of them.

    Who has the right one never does, not even at the same address.
    """
    now = 1000.0
    monkeypatch.setattr("slipway.deployer.auth.time.monotonic", lambda: now)
    checked = Guard(file)
    right = f"Bearer {file.read_text()}"
    guesses = [refuse(checked, f"Bearer {at}") for at in range(6)]
    checked.check("a", right)
    nothing = refuse(checked, None)
    now += auth.WINDOW + 1
    later = refuse(checked, "Bearer wrong")

    assert guesses == [403] * 5 + [429]
    assert nothing == 401
    assert later == 403
