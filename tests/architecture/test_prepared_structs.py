"""Threads that read a struct for the first time at the same moment do not end the process."""

import subprocess
import sys

import pytest

LOOK = """
from msgspec import ValidationError, _utils, convert

from app import main
from app.api.routes import differences, disclosures, entitlements, red_flags
from app.ledger import publications
from domain.policy import policy

def refuse(kind):
    raise SystemExit(f"{kind.__name__} is made ready at its first use")

_utils._get_class_mro_and_typevar_mappings = refuse
for kind in (
    policy.PolicyDocument,
    publications.Publication,
    differences.DifferenceCursor,
    disclosures.DisclosureCursor,
    entitlements.EntitlementCursor,
    red_flags.RedFlagCursor,
):
    try:
        convert(None, kind)
    except ValidationError:
        print(kind.__name__)
"""


@pytest.mark.slow
def test_what_requests_read_is_made_ready_before_the_service_has_threads() -> None:
    looked = subprocess.run([sys.executable, "-c", LOOK], check=False, capture_output=True, encoding="utf-8")
    assert looked.stderr == ""
    cursors = [f"{kind}Cursor" for kind in ("Difference", "Disclosure", "Entitlement", "RedFlag")]
    assert looked.stdout.split() == ["PolicyDocument", "Publication", *cursors]
