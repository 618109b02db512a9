"""`stile central` and `stile reviewer` as people type them, and reviewers with keys of their own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from scripts.cli.central.app import app
from scripts.cli.reviewer import app as reviewer_app
from wire.environment import utc_ms

PASSPHRASE = "correct horse battery"


def run(*words: str, typed: str = "4711\n") -> Result:
    return CliRunner().invoke(app, list(words), input=typed)


def told(config: Path, *words: str) -> Any:
    """The one-line object that a command with --json ends with."""
    found = run(*words, "--config", str(config), "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.splitlines()[-1])


def in_two_days() -> str:
    return (datetime.fromtimestamp(utc_ms() / 1000, UTC) + timedelta(days=2)).date().isoformat()


class Desk:
    """Reviewers on machines of their own, each with a key, and the root that certifies them."""

    def __init__(self, config: Path, folder: Path, root: Path | None = None) -> None:
        self.config, self.folder = config, folder
        self.root = root or config.parent / "keys" / "trial-root.key"
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text(f"{PASSPHRASE}\n")
        self._files = 0

    def hire(self, name: str) -> None:
        """Have a reviewer make a key, the root certify it, and central list them; once."""
        key = self.folder / f"{name}.key"
        if key.exists():
            return
        whose = (name, "--operator", "metro", "--key", str(key), "--passphrase-file", str(self.passphrase))
        asked = review("request", *whose)
        assert asked.exit_code == 0, asked.output
        assert key.stat().st_mode & 0o777 == 0o600
        self.renew(name)

    def renew(self, name: str) -> None:
        """Have the root certify a reviewer's request, and central take the certificate."""
        request = self.folder / f"{name}.request.json"
        words = ("--root-passphrase-file", str(self.passphrase))
        made = run("root", "sign", str(self.root), str(request), *words)
        assert made.exit_code == 0, made.output
        added = run("reviewer", "add", str(self.certificate(name)), "--config", str(self.config))
        assert added.exit_code == 0, added.output

    def certificate(self, name: str) -> Path:
        """What the root made of a reviewer's request."""
        return self.folder / f"{name}.certificate.json"

    def own(self, name: str) -> tuple[str, ...]:
        """The options that say whose key signs."""
        self.hire(name)
        return ("--key", str(self.folder / f"{name}.key"), "--passphrase-file", str(self.passphrase))

    def file(self) -> Path:
        """A new file's name."""
        self._files += 1
        return self.folder / f"{self._files}.json"

    def draft(self, subject: str, text: str = "Incident 12") -> tuple[Path, Any]:
        """A restriction that nobody signed yet, and what central said of it."""
        terms = ["--reason", "staff_assaulted", "--text", text, "--until", in_two_days()]
        file = self.file()
        return file, told(self.config, "restriction", "draft", subject, "--out", str(file), *terms)

    def restrict(self, subject: str, *names: str) -> Any:
        """A restriction that reviewers signed one after the other, stored."""
        for name in names:
            self.hire(name)
        file, drafted = self.draft(subject)
        for name in names:
            signed = review("sign", str(file), *self.own(name), "--yes")
            assert signed.exit_code == 0, signed.output
        added = run("restriction", "add", str(file), "--config", str(self.config))
        assert added.exit_code == 0, added.output
        return drafted

    def signed(self, word: str, name: str, *said: str) -> str:
        """The file of a ruling or a lifting."""
        file = self.file()
        made = review(word, *said, *self.own(name), "--out", str(file))
        assert made.exit_code == 0, made.output
        return str(file)


def review(*words: str) -> Result:
    return CliRunner().invoke(reviewer_app, list(words))
