"""``tapas-opt site`` as a person or a script meets it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapas_opt import __version__, errors
from tapas_opt.cli import main as entry
from tapas_opt.cli import site as site_command
from tapas_opt.cli.output import exit_code
from tapas_opt.domain.site_file import read_site, write_site
from tapas_opt.domain.site_generator import SiteShape

SCRIPT = Path(sys.executable).parent / "tapas-opt"


@pytest.fixture
def two_rows_file(two_rows, tmp_path) -> Path:
    path = tmp_path / "two_rows.yaml"
    write_site(two_rows, path)
    return path


def real(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_installed_command_makes_a_site_and_prints_one_json_object(tmp_path):
    """The way that scripts use it."""
    done = real("site", "generate", "--servers", 20, "--out", "deep/site.yaml", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["counts"]["servers"] == 20
    assert sum(1 for _ in read_site(tmp_path / "deep" / "site.yaml").servers()) == 20


def test_the_installed_command_refuses_a_bad_file_without_a_traceback(tmp_path):
    """Exit code 2 and one message: which field of which file."""
    (tmp_path / "site.yaml").write_text("format: tapas-opt/site/1\nname: 7\n")
    done = real("site", "validate", "site.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines() == [
        "tapas-opt: site.yaml: 3 faults",
        "  name: 7: input should be a valid string",
        "  hardware: is missing",
        "  rooms: is missing",
    ]


def test_help_imports_nothing_heavy():
    """People ask for help often, and two seconds of imports are felt."""
    heavy = ["pandas", "sklearn", "grpc", "pyomo", "plotly", "ortools", "highspy", "numpy", "pydantic", "dask"]
    code = (
        "import sys\nfrom tapas_opt.cli.main import main\nsys.argv = ['tapas-opt', '--help']\n"
        f"try:\n    main()\nexcept SystemExit:\n    print([m for m in {heavy} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"
    assert "site" in done.stdout


@pytest.mark.parametrize("command", ["generate", "validate", "show"])
def test_every_command_s_help_has_an_example(tapas, command):
    """An example is what most people read of a help text."""
    code, out, _ = tapas("site", command, "--help")
    assert code == 0
    assert f"Example: tapas-opt site {command}" in out


def test_the_version_is_the_package_s(tapas):
    """Reports of faults begin with it."""
    assert tapas("--version") == (0, f"tapas-opt {__version__}\n", "")


def test_options_and_the_generator_agree_about_defaults():
    """The command spells them out to keep --help fast; they must not drift."""
    options = inspect.signature(site_command.generate).parameters
    for field in fields(SiteShape):
        assert options[field.name].default == field.default, field.name


def test_every_option_reaches_the_generator(tapas, tmp_path):
    """An option that does nothing is worse than none."""
    _, plain, _ = tapas("site", "generate", "--servers", 200, "--out", tmp_path / "plain.yaml", "--json")
    assert json.loads(plain)["site"] == "generated"
    text = (tmp_path / "plain.yaml").read_text()
    for field in fields(SiteShape):
        other = 3 if isinstance(field.default, int) else 0.5
        option = f"--{field.name.replace('_', '-')}"
        code, _, _ = tapas(
            "site", "generate", "--servers", 200, "--out", tmp_path / "other.yaml", "--force", option, other
        )
        assert code == 0
        assert (tmp_path / "other.yaml").read_text() != text, option


def test_a_file_that_somebody_changed_is_replaced_only_on_demand(tapas, tmp_path):
    """A hand-made site file is a day of work."""
    path = tmp_path / "site.yaml"
    make = ("site", "generate", "--servers", 8, "--out", path)
    assert tapas(*make)[0] == 0
    assert tapas(*make)[0] == 0  # the same once more changes nothing
    path.write_text(path.read_text() + "# mine\n")
    code, _, err = tapas(*make)
    assert code == 2
    assert "--force" in err
    assert path.read_text().endswith("# mine\n")
    assert tapas(*make, "--force")[0] == 0
    assert not path.read_text().endswith("# mine\n")


def test_a_place_that_cannot_be_written_is_bad_input(tapas, tmp_path):
    """Not a traceback."""
    (tmp_path / "file").write_text("")
    code, _, err = tapas("site", "generate", "--servers", 8, "--out", tmp_path / "file" / "site.yaml")
    assert code == 2
    assert "cannot be written" in err


def test_all_bad_arguments_are_said_at_once(tapas, tmp_path):
    """The same rule as for files."""
    code, out, err = tapas(
        "site", "generate", "--servers", 2, "--name", "a b", "--heat-frac", 0, "--out", tmp_path / "site.yaml"
    )
    assert (code, out) == (2, "")
    assert all(part in err for part in ("servers: 2: must be from 4 to 100,000", "name: 'a b'", "heat_frac: 0"))
    assert not (tmp_path / "site.yaml").exists()


def test_validate_answers_a_script_about_a_bad_file_too(tapas, write):
    """With --json the faults are data; the message stays on stderr."""
    code, out, err = tapas("site", "validate", write("[1]"), "--json")
    assert code == 2
    answer = json.loads(out)
    assert answer["valid"] is False
    assert answer["faults"] == [{"where": "file", "what": "must be a mapping of fields"}]
    assert "must be a mapping of fields" in err


def test_validate_says_what_may_surprise_the_owner_of_a_valid_file(tapas, two_rows_of_h100, tmp_path):
    """Valid is not the same as wise."""
    path = tmp_path / "site.yaml"
    write_site(two_rows_of_h100, path)
    path.write_text(path.read_text().replace("feeds: [P1, P2]", "feeds: [P1]"))
    code, out, _ = tapas("site", "validate", path)
    assert code == 0
    assert "is valid" in out
    assert "rack K1: fed by one UPS only" in out
    # K1 has one feed, so the other five servers are the ones that lose three of six supplies
    assert "5 dgx-a100 servers go dark when one of their feeds is lost: they need 4 of 6 supplies" in out


def test_validate_notes_budgets_that_idle_servers_break_and_parts_that_feed_nothing(tapas, two_rows_file):
    """A kW written as a W, a PDU forgotten."""
    text = two_rows_file.read_text().replace("power_budget_w: 18000.0", "power_budget_w: 18.0", 1)
    text = text.replace("- {name: P1,", "- {name: P0, ups: U1, rating_w: 1}\n  - {name: P1,")
    two_rows_file.write_text(text.replace("- {name: U1,", "- {name: U0, rating_w: 1}\n  - {name: U1,"))
    notes = json.loads(tapas("site", "validate", two_rows_file, "--json")[1])["notes"]
    assert notes == [
        "row R1: idle servers alone draw more than the power budget",
        "PDU P0: feeds no rack",
        "UPS U0: has no PDU",
    ]


def test_show_draws_who_feeds_and_cools_whom(tapas, two_rows_file):
    """The picture by which an owner recognises the room, or does not."""
    code, out, _ = tapas("site", "show", two_rows_file)
    assert code == 0
    assert "two-rows: 1 room, 2 aisles, 2 rows, 6 racks, 6 × dgx-a100" in out
    assert "└─ P1  16 kW ─ U1+U2: 1, U1+U3: 1, U1+U4: 1" in out
    assert "aisle A1  ← 100.0% of AHU1, 50.0% of AHU2" in out
    assert "row R2  18 kW  d e f" in out


def test_show_gives_scripts_the_numbers_it_draws(tapas, two_rows_file):
    """Nameplate against budgets, worked out by hand."""
    data = json.loads(tapas("site", "show", two_rows_file, "--json")[1])
    budgets = {(line["kind"], line["quantity"]): line for line in data["budgets"]}
    # six servers of 6,500 W; four UPSs of 12,000 W planned on up to 75 %
    assert budgets["ups", "power_w"]["nameplate"] == 39_000
    assert budgets["ups", "power_w"]["budget"] == 36_000
    assert budgets["ups", "power_w"]["budget_over_nameplate"] == pytest.approx(36 / 39, abs=1e-4)
    # three servers a row at 6,500 W, three feeds of half a server on each UPS
    assert data["elements"]["row power_w"]["R1"] == {"nameplate": 19_500, "budget": 18_000}
    assert data["elements"]["ups power_w"]["U1"] == {"nameplate": 9_750, "budget": 9_000}
    # two handlers serve an aisle, one of them by half: 3,000 CFM for 3 × 1,050
    assert data["elements"]["aisle airflow_cfm"]["A1"] == {"nameplate": 3_150, "budget": 3_000}
    assert data["ups_pairs"] == dict.fromkeys(["U1+U2", "U1+U3", "U1+U4", "U2+U3", "U2+U4", "U3+U4"], 1)


def test_show_draws_the_room_asked_for(tapas, tmp_path):
    """A site of many rooms does not fit a screen."""
    path = tmp_path / "site.yaml"
    tapas("site", "generate", "--servers", 100, "--servers-per-room", 40, "--out", path)
    _, first, _ = tapas("site", "show", path)
    assert "One-line diagram of room1" in first
    assert "and 2 more rooms; --room NAME draws another" in first
    assert "room3-U4" in tapas("site", "show", path, "--room", "room3")[1]
    code, out, err = tapas("site", "show", path, "--room", "room9")
    assert (code, out) == (2, "")
    assert "room 'room9' does not exist; the site has room1, room2, room3" in err


@pytest.mark.parametrize(
    "arguments", [(), ("site",), ("sight",), ("site", "show"), ("site", "generate", "--servers", "x")]
)
def test_a_command_that_is_not_understood_exits_with_2(arguments):
    """Scripts tell bad input from failure by the code."""
    assert CliRunner().invoke(entry.app, list(arguments)).exit_code == 2


def test_every_error_has_an_exit_code():
    """0 is never one of them."""
    expected = {errors.InvalidInput: 2, errors.NotFound: 2, errors.DeadlinePassed: 3}
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.TapasError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert exit_code(kind.__new__(kind)) == expected.get(kind, 1), kind


def test_an_interrupt_exits_with_130(monkeypatch):
    """As every shell expects of Ctrl-C."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "app", interrupt)
    with pytest.raises(SystemExit) as left:
        entry.main()
    assert left.value.code == 130
