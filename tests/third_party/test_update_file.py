"""An update file of crs-cms opens with other people's COSE library; one of our CMS in Python is read the same way."""

import base64

import pytest

import test_update_cose
from crs_cms import Cms


def check(monkeypatch, path, secret, account, *more):
    """Runs the reader as its command line would."""
    arguments = ["test_update_cose.py", "--file", str(path), "--secret", secret, "--account", account, *more]
    monkeypatch.setattr("sys.argv", arguments)
    test_update_cose.main()


def test_a_file_of_crs_cms_opens(domain, monkeypatch, capsys):
    path = domain.node.path / "police.upd"
    check(monkeypatch, path, domain.secret, "police", "--users", str(domain.users))
    assert capsys.readouterr().out.startswith("ok: police")


@pytest.mark.parametrize("size", [16, 31, 32])
def test_a_file_of_another_cms_opens(tmp_path, monkeypatch, size):
    secret = base64.b64encode(bytes(range(size))).decode()
    cms, path = Cms("acme", secret, {}), tmp_path / "acme.upd"
    cms.add("tel:+46701234567")
    path.write_bytes(cms.update("2026-11"))
    check(monkeypatch, path, secret, "acme", "--users", "1")
    with pytest.raises(BaseException):
        check(monkeypatch, path, base64.b64encode(bytes(size)).decode(), "acme")
