"""Reading request traces: what is right is read, what is wrong is listed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.trace import read_trace

GOOD = "t_s,context_tokens,generated_tokens\n0.0,100,10\n1.5,200,0\n1.5,50,5\n"


def test_each_file_is_an_endpoint(tmp_path):
    """Plain or gzipped; other files are left alone; extra columns are not needed."""
    (tmp_path / "chat.csv").write_text(GOOD)
    (tmp_path / "code.csv.gz").write_bytes(gzip.compress(b"x," + GOOD.replace("\n", "\n1,").encode()[:-2]))
    (tmp_path / "README.md").write_text("where it comes from")
    traces = read_trace(tmp_path)
    assert sorted(traces) == ["chat", "code"]
    assert traces["chat"].t_s.tolist() == [0.0, 1.5, 1.5]
    assert traces["code"].context_tokens.tolist() == [100, 200, 50]


def test_traces_are_read_as_they_are_published(tmp_path):
    """Mooncake in milliseconds, an object a line, prefix blocks left alone; BurstGPT in seconds by its own names."""
    lines = '{"timestamp":0,"input_length":6758,"output_length":500,"hash_ids":[0,1]}\n'
    lines += '{"timestamp":3000,"input_length":7322,"output_length":490,"hash_ids":[0,14]}\n'
    (tmp_path / "conv.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    burst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    (tmp_path / "code.csv").write_text(
        burst + "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,230,1317,API log\n"
    )
    traces = read_trace(tmp_path)
    assert traces["conv"].to_dict("list") == {
        "t_s": [0.0, 3.0],
        "context_tokens": [6758, 7322],
        "generated_tokens": [500, 490],
    }
    assert traces["code"].t_s.tolist() == [5.0, 45.0]
    assert traces["code"].generated_tokens.tolist() == [18, 230]


def test_a_real_hour_of_mooncake_is_read(repository):
    """7,689 conversations in 2,358 s with prompts of 12,449 tokens on average, two thirds of the hour."""
    folder = Path(os.environ.get("TAPAS_DATA_DIR", repository.parent / "shared" / "datasets")) / "mooncake-fast25"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not in {folder.parent}; set TAPAS_DATA_DIR")
    traces = read_trace(folder)
    assert sorted(traces) == ["conversation", "synthetic"]
    assert len(traces["conversation"]) == 7_689
    assert traces["conversation"].t_s.iloc[-1] == pytest.approx(2_358.0, abs=3.0)
    assert traces["conversation"].context_tokens.mean() == pytest.approx(12_449, abs=1.0)


def test_faults_of_objects_are_named_by_their_line(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"timestamp":9,"input_length":1,"output_length":2}\n{"timestamp":3,"input_length":null,"output_length":-2}\n'
    )
    (tmp_path / "b.jsonl").write_text('{"timestamp":9,"input_length":1}\n')
    (tmp_path / "c.jsonl").write_text('{"timestamp":9,"input_length":1,"output_length":2}\n[1]\n')
    (tmp_path / "d.jsonl").write_text("{\n")
    with pytest.raises(InvalidInput) as refused:
        read_trace(tmp_path)
    assert [fault.where for fault in refused.value.faults] == [
        "a.jsonl, line 2, column timestamp",
        "a.jsonl, line 2, column input_length",
        "a.jsonl, line 2, column output_length",
        "b.jsonl, column output_length",
        "c.jsonl",
        "d.jsonl",
    ]
    assert "line 2: is no JSON object" in str(refused.value)
    assert "sort the file by timestamp" in str(refused.value)


def test_every_fault_of_every_file_is_listed_with_line_and_column(tmp_path):
    """One look at the message must be enough to mend the files."""
    (tmp_path / "a.csv").write_text(
        "t_s,context_tokens,generated_tokens\n0,100,10\n5,,10\n3,100,many\n6,-1,10\n7,NaN,inf\n"
    )
    (tmp_path / "b.csv").write_text("t_s,context_tokens\n0,1\n")
    (tmp_path / "c.csv.gz").write_text("not gzipped")
    (tmp_path / "d.csv").write_text("t_s,context_tokens,generated_tokens\n")
    (tmp_path / "e.csv").write_text("")
    with pytest.raises(InvalidInput) as refused:
        read_trace(tmp_path)
    where = [fault.where for fault in refused.value.faults]
    assert where == [
        "a.csv, line 4, column t_s",
        "a.csv, line 3, column context_tokens",
        "a.csv, line 6, column context_tokens",
        "a.csv, line 5, column context_tokens",
        "a.csv, line 4, column generated_tokens",
        "a.csv, line 6, column generated_tokens",
        "b.csv, column generated_tokens",
        "c.csv.gz",
        "d.csv",
        "e.csv",
    ]
    assert "'many': must be a finite number" in str(refused.value)
    assert "'-1': must not be negative" in str(refused.value)
    assert "'3': is earlier than the line before" in str(refused.value)


def test_many_faults_of_one_kind_are_counted(tmp_path):
    """A million bad lines must not scroll by."""
    (tmp_path / "a.csv").write_text("t_s,context_tokens,generated_tokens\n" + "0,x,1\n" * 100)
    with pytest.raises(InvalidInput) as refused:
        read_trace(tmp_path)
    assert len(refused.value.faults) == 6
    assert "95 more lines" in str(refused.value)


def test_a_folder_without_traces_and_an_endpoint_with_two_are_refused(tmp_path):
    """Neither may silently mean nothing, or one of the two."""
    with pytest.raises(InvalidInput, match="holds no"):
        read_trace(tmp_path)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_trace(tmp_path / "nowhere")
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    with pytest.raises(InvalidInput, match="endpoint 'a' has two files"):
        read_trace(tmp_path)
