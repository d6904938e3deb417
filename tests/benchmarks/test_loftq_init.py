"""Promises of the LoftQ benchmark that need no peer: what it says where it cannot measure."""

from __future__ import annotations

import pytest

from tests.benchmarks import loftq_init, peft_reference


@pytest.mark.parametrize("missing", ["peft", "bitsandbytes"])
def test_it_says_what_it_needs(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a peer there is nothing to compare with: exit code 2 and how to install it."""

    def find(name: str) -> object:
        return None if name == missing else object()

    monkeypatch.setattr(peft_reference, "find_spec", find)
    assert loftq_init.main(["--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"needs {missing}; run pip install" in printed.err
