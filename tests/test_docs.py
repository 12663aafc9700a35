"""Documents that point somewhere point at something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tapas_opt.domain.result import Constraint

REPOSITORY = Path(__file__).parent.parent
ADR = REPOSITORY / "docs" / "adr"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
DOCUMENTS = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(path for folder in ("docs", "data", "models", "benchmarks") for path in (REPOSITORY / folder).rglob("*.md")),
    ]
)


def text_of(path: Path) -> str:
    """Without fenced blocks, where brackets are code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)}


def broken_links(document: Path) -> list[str]:
    broken = []
    for target in LINK.findall(text_of(document)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, section = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (section and file.suffix == ".md" and section not in anchors(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_relative_link_leads_somewhere(document):
    """Whoever follows a link has a question already."""
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path):
    """The test can fail."""
    (tmp_path / "there.md").write_text("# A heading, with commas\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[ok](there.md) [ok](there.md#a-heading-with-commas) [ok](https://example.org)\n"
        "[no](gone.md) [no](there.md#gone)\n"
        "```\n[code](not-a-link)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "there.md#gone"]


def test_every_decision_record_is_listed_once_with_its_title():
    """A record that nobody finds was not made."""
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", (ADR / "README.md").read_text("utf-8"), re.MULTILINE)
    found = []
    for path in sorted(ADR.glob("[0-9]*.md")):
        number, title = re.match(r"# (\d{4}) (.+)\n", path.read_text("utf-8")).groups()
        assert path.name.startswith(number)
        found.append((number, path.name, title))
    assert listed == found


def test_every_decision_record_has_a_date_and_its_parts():
    for path in ADR.glob("[0-9]*.md"):
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^\d{4}-\d{2}-\d{2} · (accepted|replaced by .+)$", text, re.MULTILINE), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name


def test_the_constraints_of_the_formulation_are_those_of_the_program():
    """One name for one constraint, in code, answers and documents; what problems share has a heading in each."""
    headings = re.findall(r"^### (\S+)$", text_of(REPOSITORY / "docs" / "formulation.md"), re.MULTILINE)
    assert set(headings) == {constraint.value for constraint in Constraint}


def test_each_constraint_is_stated_once_a_chapter():
    """Twice would be two statements that drift apart."""
    for chapter in re.split(r"^## ", text_of(REPOSITORY / "docs" / "formulation.md"), flags=re.MULTILINE):
        headings = re.findall(r"^### (.+)$", chapter, re.MULTILINE)
        assert len(headings) == len(set(headings))


def test_the_architecture_names_every_part_of_the_package():
    """The picture of the house shows the house."""
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = REPOSITORY / "tapas_opt"
    parts = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    parts += [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    assert [part for part in parts if f"`{part}" not in text] == []
