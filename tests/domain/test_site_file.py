"""Site files: everything that is wrong with one is said at once, in the words of the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tapas_opt.domain.site import ToleranceCurve
from tapas_opt.domain.site_file import read_site, site_from, site_text, write_site
from tapas_opt.domain.site_generator import HARDWARE
from tapas_opt.errors import InvalidInput


@pytest.fixture
def raw(two_rows) -> dict:
    """``two_rows`` as a file says it, free to be spoilt."""
    return yaml.safe_load(site_text(two_rows))


def faults(raw: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        site_from(raw, "site.yaml")
    return {fault.where: fault.what for fault in refused.value.faults}


def test_a_file_with_a_dozen_faults_lists_every_one(raw):
    """Correcting a file one fault a run is a waste of its owner's day."""
    room = raw["rooms"][0]
    first_rack, second_rack = room["aisles"][0]["rows"][0]["racks"][:2]
    raw["format"] = "tapas-opt/site/9"
    raw["hardware"]["dgx-a100"]["psus_needed"] = 7
    raw["hardware"]["dgx-a100"]["idle_power_w"] = 9_000
    room["upses"][0]["rating_w"] = -5
    room["upses"][1]["budget_frac"] = 1.5
    room["upses"][2]["name"] = "U 3"
    room["upses"][3]["on_battery"] = {"points": [[1.2, 10], [1.1, 60]]}
    room["pdus"][0]["ups"] = "U9"
    room["pdus"][1]["ratting_w"] = room["pdus"][1].pop("rating_w")
    room["ahus"][0]["aisle_shares"] = {"A1": 0.5}
    room["ahus"][1]["aisle_shares"] = {"A1": 0.5, "A7": 0.5}
    first_rack["feeds"] = ["P1", "P1"]
    first_rack["servers"][0]["hardware"] = "dgx-z9"
    second_rack["name"] = "K1"
    second_rack["feeds"] = ["P4", "P8"]
    found = faults(raw)
    rack = "rooms[0].aisles[0].rows[0].racks"
    expected = {
        "format": "'tapas-opt/site/9': input should be 'tapas-opt/site/1'",
        "hardware.dgx-a100.psus_needed": "7: must not exceed psus (6)",
        "hardware.dgx-a100.idle_power_w": "9000: must not exceed max_power_w (6500.0)",
        "rooms[0].upses[0].rating_w": "-5: input should be greater than 0",
        "rooms[0].upses[1].budget_frac": "1.5: input should be less than or equal to 1",
        "rooms[0].upses[2].name": "'U 3': must be letters, digits and . _ : - only",
        "rooms[0].upses[3].on_battery.points": "loads must rise from above 1 and times must fall",
        "rooms[0].pdus[0].ups": "'U9': is no UPS of this room; known are U1, U2",
        "rooms[0].pdus[1].ratting_w": "no such field exists here",
        "rooms[0].pdus[1].rating_w": "is missing",
        "rooms[0].ahus[0].aisle_shares": "add up to 0.5: must add up to 1",
        "rooms[0].ahus[1].aisle_shares.A7": "'A7': is no aisle of this room; known are A1, A2",
        f"{rack}[0].feeds": "a PDU may feed a rack once",
        f"{rack}[0].servers[0].hardware": "'dgx-z9': is no entry of the hardware table; known are dgx-a100",
        f"{rack}[1].name": f"'K1': already used by {rack}[0]",
        f"{rack}[1].feeds[1]": "'P8': is no PDU of this room; known are P1, P2, P3, P4",
    }
    for where, what in expected.items():
        assert what in found.pop(where), where
    # U3 is now called "U 3", so that the PDU which names U3 has lost its UPS as well
    assert list(found) == ["rooms[0].pdus[2].ups"]


def test_a_site_survives_writing_and_reading(two_rows, demo_site, tmp_path):
    """A file is the site, nothing less."""
    path = tmp_path / "site.yaml"
    for site in (two_rows, demo_site):
        write_site(site, path)
        assert read_site(path) == site


def test_an_unusual_tolerance_curve_survives_and_a_usual_one_is_left_out(two_rows, tmp_path):
    """Files stay readable without losing what their owner set."""
    room = two_rows.rooms[0]
    weak = replace(room.upses[0], on_battery=ToleranceCurve(points=((1.2, 5.0), (1.3, 1.0)), recovery_s=60.0))
    site = replace(two_rows, rooms=(replace(room, upses=(weak, *room.upses[1:])),))
    assert site_text(site).count("on_battery") == 1
    assert "on_mains" not in site_text(site)
    write_site(site, tmp_path / "site.yaml")
    assert read_site(tmp_path / "site.yaml") == site


def test_numbers_may_be_written_as_people_write_them(raw):
    """YAML takes 1e6 for text; its author does not."""
    raw["rooms"][0]["upses"][0]["rating_w"] = "12e3"
    raw["hardware"]["dgx-a100"]["max_power_w"] = 6500
    site = site_from(raw, "site.yaml")
    assert site.rooms[0].upses[0].rating_w == 12_000.0
    raw["hardware"]["dgx-a100"]["idle_power_w"] = "9e3"
    assert "must not exceed max_power_w" in faults(raw)["hardware.dgx-a100.idle_power_w"]


def test_liquid_cooling_is_refused_in_one_sentence(raw):
    """Half a model of liquid cooling would be worse than none."""
    raw["hardware"]["dgx-a100"]["cooling"] = "liquid"
    assert faults(raw) == {
        "hardware.dgx-a100.cooling": "'liquid' is not supported yet; leave liquid-cooled servers out of the file"
    }


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([[1.5, 60], [1.25, 600]], id="loads fall"),
        pytest.param([[1.25, 60], [1.5, 600]], id="times rise"),
        pytest.param([[1.25, 60], [1.25, 50]], id="one load twice"),
        pytest.param([[0.9, 60], [1.25, 50]], id="a load that is no overload"),
    ],
)
def test_a_curve_that_no_breaker_has_is_refused(raw, points):
    """More load is never borne longer."""
    raw["rooms"][0]["aisles"][0]["rows"][0]["breaker"] = {"points": points}
    assert (
        "loads must rise from above 1 and times must fall" in faults(raw)["rooms[0].aisles[0].rows[0].breaker.points"]
    )


def test_an_aisle_without_air_is_refused(raw):
    """A share of zero cools nothing."""
    for ahu in raw["rooms"][0]["ahus"]:
        ahu["aisle_shares"] = {"A1": 1.0, "A2": 0.0}
    assert faults(raw) == {"rooms[0].aisles[1]": "'A2': no AHU of the room serves this aisle"}


def test_an_air_handler_that_serves_nothing_is_refused(raw):
    """Its air would vanish from the sums in silence."""
    raw["rooms"][0]["ahus"][0]["aisle_shares"] = {}
    assert "at least 1" in faults(raw)["rooms[0].ahus[0].aisle_shares"]


def test_nothing_in_a_file_may_be_infinite_or_not_a_number(raw):
    """A limit of infinity is a limit forgotten."""
    raw["rooms"][0]["upses"][0]["rating_w"] = float("inf")
    raw["rooms"][0]["upses"][1]["rating_w"] = float("nan")
    assert set(faults(raw)) == {"rooms[0].upses[0].rating_w", "rooms[0].upses[1].rating_w"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("", "is empty; `tapas-opt site generate` makes one", id="empty"),
        pytest.param("# only a comment\n", "is empty", id="comment"),
        pytest.param("rooms: [", "is not YAML", id="broken"),
        pytest.param("- a\n- b\n", "must be a mapping of fields", id="list"),
        pytest.param("hello", "'hello': must be a mapping of fields", id="text"),
        pytest.param("name: 2020-13-45", "is not YAML: month must be in 1..12", id="no such date"),
        pytest.param("a: !!python/object:os.system {}", "is not YAML", id="python object"),
        pytest.param("a: 1\n---\na: 2\n", "is not YAML", id="two documents"),
        pytest.param("name: one\nname: two\n", "line 2: 'name': stands twice in the same mapping", id="twice"),
        pytest.param("&a [*a]", "must be a mapping of fields", id="holds itself"),
    ],
)
def test_what_is_no_site_at_all_is_refused_in_one_line(write, text, what):
    """The first thing people feed to a command is the wrong file."""
    with pytest.raises(InvalidInput) as refused:
        read_site(write(text))
    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    """Missing, a folder, or not text."""
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_site(tmp_path / "none.yaml")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read_site(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InvalidInput, match="is not YAML"):
        read_site(tmp_path / "bytes")


def test_any_part_of_a_file_may_be_of_the_wrong_kind(raw):
    """A judge that stumbles over a bad file is no judge."""
    for wrong in (None, 7, "x", [], [[]], {}, [None], {"a": 1}):
        for spoil in (
            lambda site, wrong=wrong: site.update(hardware=wrong),
            lambda site, wrong=wrong: site.update(rooms=wrong),
            lambda site, wrong=wrong: site["rooms"][0].update(upses=wrong),
            lambda site, wrong=wrong: site["rooms"][0].update(ahus=wrong),
            lambda site, wrong=wrong: site["rooms"][0]["ahus"][0].update(aisle_shares=wrong),
            lambda site, wrong=wrong: site["rooms"][0]["aisles"][0].update(rows=wrong),
            lambda site, wrong=wrong: site["rooms"][0]["aisles"][0]["rows"][0]["racks"][0].update(feeds=wrong),
            lambda site, wrong=wrong: site["rooms"][0]["upses"][0].update(on_mains=wrong),
        ):
            spoilt = yaml.safe_load(yaml.safe_dump(raw))
            spoil(spoilt)
            assert faults(spoilt)


def test_the_example_of_the_data_page_is_valid(raw, repository: Path):
    """Examples are read more than rules."""
    text = (repository / "data" / "README.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    raw["rooms"][0]["upses"][:2] = example
    assert site_from(raw, "README.md").rooms[0].upses[1].on_battery.points[1] == (1.333, 10.0)


def test_hardware_of_the_generator_is_valid(raw):
    """The table goes into files as it is."""
    raw["hardware"] = {name: yaml.safe_load(yaml.safe_dump(_fields(item))) for name, item in HARDWARE.items()}
    assert site_from(raw, "table").hardware == HARDWARE


def _fields(item) -> dict:
    return {name: getattr(item, name) for name in item.__dataclass_fields__ if not name.startswith("_")}
