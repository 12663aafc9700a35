"""Names, units and labels of the world outside lead to places that the schema has."""

from __future__ import annotations

import re

import pytest

from tapas_opt.domain.history import TABLES
from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.columns import read_layout
from tapas_opt.telemetry.hosts import Names, read_hosts
from tapas_opt.telemetry.names import METRICS, SERVING
from tapas_opt.telemetry.sources import read_sources
from tapas_opt.telemetry.units import UNITS, column_of, unit_fault


def test_every_metric_leads_to_a_column_in_a_unit_that_fits_it():
    known = {f"{table.name}.{column.name}" for table in (*TABLES.values(), SERVING) for column in table.columns}
    for metric in METRICS:
        assert metric.column in known, metric
        assert unit_fault(metric.column.partition(".")[2], metric.unit) == "", metric


@pytest.mark.parametrize(
    ("unit", "reading", "inside"),
    [
        ("F", 212.0, 100.0),
        ("K", 300.0, 26.85),
        ("mW", 250_000.0, 250.0),
        ("kW", 1.5, 1_500.0),
        ("%", 55.0, 0.55),
        # 1 CFM is 0.3048³ m³ a minute: 0.028317 m³/min, 1.69901 m³/h, 0.471947 l/s.
        ("m3/min", 0.028316846592, 1.0),
        ("m3/h", 1.69901079552, 1.0),
        ("l/s", 0.471947443, 1.0),
    ],
)
def test_a_unit_is_turned_into_that_of_the_schema_and_back(unit, reading, inside):
    assert UNITS[unit].inside(reading) == pytest.approx(inside, rel=1e-6)
    assert UNITS[unit].outside(inside) == pytest.approx(reading, rel=1e-6)


def test_a_unit_that_does_not_fit_names_those_that_do():
    assert unit_fault("inlet_c", "W") == "'W': is no unit of inlet_c; use C or F or K"
    assert unit_fault("power_w", "rpm") == "'rpm': is for airflow_cfm only"
    with pytest.raises(KeyError):
        column_of("gpus.colour")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("node-01", "node-01"),
        ("node-01:9400", "node-01"),
        ("node-01.dc.example.com:9400", "node-01"),
        ("NODE-01.dc.example.com", "node-01"),
        ("10.0.0.5:9290", "node-02"),
        ("[fd00::5]:9290", "node-02"),
        ("fd00::5", "node-02"),
        ("bmc-7.mgmt", "node-02"),
        ("10.0.0.6:9290", None),
        ("node-03", None),
        ("rack", None),
    ],
)
def test_a_label_leads_to_a_server_with_port_domain_or_mapping(label, name):
    """An address is not a name with a domain: 10.0.0.6 must not become a server called 10."""
    mapping = {"10.0.0.5": "node-02", "fd00::5": "node-02", "bmc-7": "node-02"}
    names = Names(["node-01", "node-02", "10", "Rack", "RACK"], mapping)
    found = names.number(label)
    assert (None if found is None else names.names[found]) == name


def test_hosts_are_read_in_full_and_every_fault_is_listed(tmp_path):
    file = tmp_path / "hosts.csv"
    file.write_text("label,name\nbmc-1,S1\n\nbmc-2, S2\n")
    assert read_hosts(file) == {"bmc-1": "S1", "bmc-2": "S2"}
    file.write_text("label,name\nbmc-1,S1\nbmc-1,S2\nbmc-3\n")
    with pytest.raises(InvalidInput) as refused:
        read_hosts(file)
    assert [fault.where for fault in refused.value.faults] == ["line 3", "line 4"]
    file.write_text("bmc-1,S1\n")
    with pytest.raises(InvalidInput, match="must be the heading label,name"):
        read_hosts(file)


def test_a_sources_file_lists_every_fault(write):
    with pytest.raises(InvalidInput) as refused:
        read_sources(
            write(
                """
format: tapas-opt/sources/1
airflow: {dgx-a100: {}}
colour: blue
instances:
  - {label: "a:1", vm: chat-1, server: S1, template: chat, goodput_tokens_per_s: 0}
vms:
  - {vm: vm-1, server: S1, template: acme, start: yesterday}
  - {vm: vm-1, server: S1, template: acme, start: "2026-01-05T00:00:00Z", end: "2026-01-04T00:00:00Z"}
metrics:
  - {column: gpus.colour, unit: W, metric: a}
  - {column: gpus.power_w, unit: C, metric: a}
  - {column: gpus.power_w, unit: W, metric: a, query: b}
  - {column: gpus.power_w, unit: W, query: b, kind: counter}
  - {column: vms.load_frac, unit: frac, metric: a}
"""
            )
        )
    said = str(refused.value)
    for complaint in (
        "needs cfm_per_rpm or cfm_per_percent",
        "colour: 'blue': no such field exists here",
        "instances[0].goodput_tokens_per_s",
        "start 'yesterday': must be like",
        "end '2026-01-04T00:00:00Z': must be after start",
        "'gpus.colour': is no column that readings go to",
        "'C': is no unit of power_w; use W or mW or kW or MW",
        "needs either metric or query",
        "where and kind belong to metric",
        "'vms.load_frac': is no column",
    ):
        assert complaint in said


def test_a_key_that_stands_twice_is_refused(write):
    """YAML would let the second one win in silence."""
    with pytest.raises(InvalidInput, match="known stands twice"):
        read_sources(write("format: tapas-opt/sources/1\nknown: true\nknown: false\n"))


def test_the_examples_of_the_documents_are_right(repository, tmp_path):
    """Whoever copies them starts from something that works."""
    text = (repository / "docs" / "operations.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(format: tapas-opt/(\w+)/1\n.*?)```", text, flags=re.DOTALL)
    readers = {"sources": read_sources, "columns": read_layout}
    assert {kind for _, kind in examples} == set(readers)
    for content, kind in examples:
        file = tmp_path / f"{kind}.yaml"
        file.write_text(content, encoding="utf-8")
        readers[kind](file)
