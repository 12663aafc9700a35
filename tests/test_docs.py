"""Documents that point somewhere point at something."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tapas_opt.domain.result import Constraint

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "tapas_opt"
ADR = REPOSITORY / "docs" / "adr"
NAMED = re.compile(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
TOGETHER = {"The three problems": ("placement", "routing", "reconfiguration")}
"""What the map has a heading of its own for, because several packages have it."""
FOLDERS = ("docs", "data", "models", "benchmarks", "tests")
DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(path for name in FOLDERS for path in (REPOSITORY / name).rglob("*.md"))]
)


def text_of(path: Path) -> str:
    """Without fenced blocks, where brackets are code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> list[str]:
    """Of every heading in turn; of those alike all but the first are numbered."""
    plain = [anchor(heading) for heading in re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)]
    before = [plain[:i].count(name) for i, name in enumerate(plain)]
    return [f"{name}-{count}" if count else name for name, count in zip(plain, before, strict=True)]


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
    (tmp_path / "there.md").write_text("# A heading, with commas\n# Twice\n# Twice\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[ok](there.md) [ok](there.md#a-heading-with-commas) [ok](https://example.org)\n"
        "[ok](there.md#twice-1) [no](gone.md) [no](there.md#gone) [no](there.md#twice-2)\n"
        "```\n[code](not-a-link)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "there.md#gone", "there.md#twice-2"]


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


def test_the_contents_of_the_formulation_lead_to_every_constraint():
    """Whoever meets a name in an answer finds its equation, in the chapter of the problem."""
    formulation = REPOSITORY / "docs" / "formulation.md"
    contents = text_of(formulation).partition("\n## ")[0]
    linked = [target.removeprefix("#") for target in LINK.findall(contents) if target.startswith("#")]
    assert sorted(linked) == sorted(anchors(formulation)[1:])


def floors() -> tuple[tuple[str, ...], ...]:
    """FLOORS of tests/test_layers.py, which enforces them."""
    for statement in ast.parse((REPOSITORY / "tests" / "test_layers.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "FLOORS":
            return ast.literal_eval(statement.value)
    raise AssertionError("no FLOORS")


def architecture() -> tuple[str, dict[str, str]]:
    """What comes before the map, and the map's text by heading: a package, or several that have files in common."""
    before, _, drawn = text_of(REPOSITORY / "docs" / "architecture.md").partition("\n## Map\n")
    pieces = re.split(r"^### (.+)$", drawn, flags=re.MULTILINE)[1:]
    return before, dict(zip(pieces[::2], pieces[1::2], strict=True))


def test_the_architecture_has_the_floors_that_are_enforced():
    """The picture of the house shows the house."""
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", architecture()[0], flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(rows)))
    assert [tuple(re.findall(r"`(\w+)(?:/|\.py)`", packages)) for _, packages in rows] == list(floors())


def test_the_map_has_every_package_from_the_lowest_floor_to_the_highest():
    """Who knows the floor finds the package."""
    packages = [part for floor in floors() for part in floor if (PACKAGE / part).is_dir()]
    assert [heading for heading in architecture()[1] if heading not in TOGETHER] == packages


def missing(text: str, *packages: str) -> list[str]:
    """Files and folders that a text names, and that are not in each of the packages nor named from the top."""
    named = NAMED.findall(text)
    there = [PACKAGE / package for package in packages]
    return [name for name in named if not all((at / name).exists() for at in there) and not (PACKAGE / name).exists()]


def test_every_file_on_the_map_is_there():
    """A map that shows what is gone is worse than none."""
    drawn = architecture()[1]
    gone = {heading: missing(text, *TOGETHER.get(heading, (heading,))) for heading, text in drawn.items()}
    assert {heading: names for heading, names in gone.items() if names} == {}


def test_a_file_that_is_not_there_is_missed():
    """The test can fail."""
    text = "`door.py`, `gone.py` and `horizon/`, beside `control/fleet.py` and `nowhere/`"
    assert missing(text, "solve") == ["gone.py", "horizon/", "nowhere/"]


def test_every_module_that_a_document_names_is_there():
    """By as much of its path as tells it apart."""
    there = [f"/{path.relative_to(REPOSITORY).as_posix()}" for path in REPOSITORY.glob("[a-z]*/**/*.py")]
    gone = [
        (document.name, name)
        for document in DOCUMENTS
        for name in re.findall(r"`((?:\w+/)+\w+\.py)`", text_of(document))
        if not any(path.endswith(f"/{name}") for path in there)
    ]
    assert gone == []
