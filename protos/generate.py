"""Regenerate ``tapas_opt/api`` from the .proto files: ``python protos/generate.py [FOLDER]``.

The output is committed; the generator is pinned (``grpcio-tools`` in the dev extra), because generated code refuses
to run on a protobuf older than its generator's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

__all__ = ["generate"]

PROTOS = Path(__file__).resolve().parent
_WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"
_PACKAGES = {
    Path("tapas_opt/api/__init__.py"): '"""The gRPC contract, generated from ``protos/``; never edited by hand."""\n',
    Path("tapas_opt/api/v1/__init__.py"): '"""Generated from ``protos/tapas_opt/api/v1``; never edited by hand."""\n',
}


def generate(into: Path) -> list[Path]:
    """Write messages, stubs and type stubs below ``into``; return the files written, relative to it."""
    protos = [path.relative_to(PROTOS) for path in sorted(PROTOS.rglob("*.proto"))]
    _compile(protos, into, "python", "pyi")
    _compile([path for path in protos if path.stem.endswith("_service")], into, "grpc_python")
    for stub in into.glob("tapas_opt/api/v1/*.pyi"):  # the generator leaves a type bare that mypy --strict wants whole
        stub.write_text(
            stub.read_text(encoding="utf-8").replace("_Mapping]", "_Mapping[str, object]]"), encoding="utf-8"
        )
    for path, text in _PACKAGES.items():
        (into / path).write_text(text, encoding="utf-8")
    return sorted(path.relative_to(into) for path in into.glob("tapas_opt/api/**/*.py*") if path.suffix != ".pyc")


def _compile(protos: list[Path], into: Path, *kinds: str) -> None:
    outputs = [f"--{kind}_out={into}" for kind in kinds]
    code = protoc.main(["protoc", f"-I{PROTOS}", f"-I{_WELL_KNOWN}", *outputs, *map(str, protos)])
    if code != 0:
        raise SystemExit(code)


def _remove_old(root: Path) -> None:
    """A file whose .proto is gone must not stay behind."""
    for path in (root / "tapas_opt" / "api" / "v1").glob("*_pb2*.py*"):
        path.unlink()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS.parent
    _remove_old(target)
    for file in generate(target):
        print(file)
