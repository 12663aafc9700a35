"""Every error has a status, and every status fits into a header."""

import grpc
from google.rpc import error_details_pb2

from tapas_opt import errors
from tapas_opt.errors import Fault, InvalidInput, TapasError
from tapas_opt.service.status import TABLE, status_of

HEADER_BYTES = 8 * 1024
"""What clients accept unless told otherwise."""


def tree(kind: type[TapasError]) -> set[type[TapasError]]:
    return {kind}.union(*(tree(child) for child in kind.__subclasses__()))


def test_every_error_has_a_row():
    """A class without one would reach callers as a defect."""
    assert set(TABLE) == tree(errors.TapasError)


def test_every_row_has_a_reason_of_its_own():
    """Clients in any language tell errors apart by it."""
    assert len({row.reason for row in TABLE.values()}) == len(TABLE)


def test_only_what_a_retry_may_help_says_when_to_retry():
    retried = {row.code for row in TABLE.values() if row.retry_after_s is not None}
    assert retried == {grpc.StatusCode.UNAVAILABLE}


def test_a_thousand_faults_fit_into_a_header_and_say_how_many_are_left_out():
    """Above 8 KiB of header the client would see a broken connection instead of its faults."""
    status = status_of(InvalidInput("PlaceVmsRequest", [Fault(f"vms[{i}].name", "is missing") for i in range(1_000)]))
    assert status.ByteSize() * 4 / 3 < HEADER_BYTES  # binary headers travel in base64
    violations = error_details_pb2.BadRequest()
    status.details[1].Unpack(violations)
    listed = len(violations.field_violations) - 1
    assert violations.field_violations[-1].description == f"{1_000 - listed} faults more"
    assert listed > 50


def test_one_enormous_name_fits_into_a_header():
    status = status_of(InvalidInput.one("x", "name", "y" * 100_000))
    assert status.ByteSize() * 4 / 3 < HEADER_BYTES
