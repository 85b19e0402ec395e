"""Requests made from the service's own OpenAPI document, valid and not: none of them is too much for it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from services import network, serving

ST = Path(sys.executable).with_name("st")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.skipif(not ST.is_file(), reason="requests are made with Schemathesis: pip install schemathesis")
def test_every_answer_is_one_that_the_document_has(tmp_path: Path) -> None:
    with serving(of=network()) as address:
        command = [
            str(ST), "run", f"{address}/openapi.json", "--mode", "all", "--phases", "fuzzing", "--max-examples", "20",
            "--checks", CHECKS, "--request-timeout", "10", "--continue-on-failure", "--no-shrink", "--seed", "1",
            "--suppress-health-check", "all", "--warnings", "off", "--no-color", "--generation-database", "none",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    sent = re.search(r"(\d[\d,]*) generated", done.stdout)
    assert sent is not None, done.stdout[-4000:]
    assert int(sent[1].replace(",", "")) >= 50
