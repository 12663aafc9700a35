"""Single requests on engines slow enough to follow by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("simpy", reason="simpy is not installed; it comes with the dev extra")

from tapas_opt.errors import InvalidInput
from tapas_opt.serving.pace import WHOLE_PROMPTS
from tapas_opt.serving.requests import serve_requests


def test_a_request_alone_has_its_unloaded_latencies(slow):
    """150 tokens in chunks of 100: 0.1 + 0.1 and 0.1 + 0.05 s; then two more tokens, 0.1 s each."""
    run = serve_requests(slow, [5.0], [150], [3])
    assert run.ttft_s[0] == pytest.approx(0.35)
    assert run.ttft_s[0] == pytest.approx(float(slow.unloaded_ttft_s(150)))
    assert run.tbt_s[0] == pytest.approx(0.1)
    assert run.until_s == pytest.approx(5.55)
    assert run.read_s == pytest.approx(0.15)


def test_a_chunk_joins_the_decoding_of_others_and_delays_it(slow):
    """The first decodes from 0.2 on. The second comes at 0.25, joins at 0.3 and is read until 0.5, by a gap of 0.2."""
    run = serve_requests(slow, [0.0, 0.25], [100, 100], [4, 1])
    assert run.ttft_s == pytest.approx([0.2, 0.25])
    assert run.gap_s == pytest.approx([0.2, 0.1, 0.2, 0.1])
    assert run.gap_tokens.tolist() == [0, 1, 1, 1]
    assert run.tbt_s[0] == pytest.approx(0.4 / 3)
    assert np.isnan(run.tbt_s[1]), "a single token has no gap"


def test_each_second_knows_what_it_was_spent_on(slow):
    """150 tokens from 5 s on, 0.1 + 0.1 and 0.05 + 0.1 s; four tokens, 0.1 s each; then 300 from 6.6 s on, 0.3 + 0.3 s.

    Whole seconds are counted: of the last prompt, which reads its second and third hundred until 7.2 s, what is
    before 7 s.
    """
    run = serve_requests(slow, [5.0, 6.6], [150, 300], [5, 1])
    reading, otherwise = run.by_second()
    assert run.until_s == pytest.approx(7.2)
    assert reading == pytest.approx([0.0] * 5 + [0.15, 0.2])
    assert otherwise == pytest.approx([0.0] * 5 + [0.6, 0.2])


def test_prompts_share_an_iteration_as_far_as_its_chunk_goes(slow):
    """From 0.11 on 60 + 60 tokens wait: the first and 40 of the second take 0.2 s, the other 20 take 0.12 s."""
    run = serve_requests(slow, [0.0, 0.05, 0.05], [10, 60, 60], [1, 1, 1])
    assert run.ttft_s == pytest.approx([0.11, 0.26, 0.38])


def test_whole_prompts_go_before_decoding(slow):
    """Prioritised prefill: one gap of 0.1 + 0.5 s where chunks would make five of 0.2 s."""
    requests = [0.0, 0.15], [10, 500], [8, 1]
    chunked, whole = (serve_requests(replace(slow, chunk_tokens=n), *requests) for n in (100, WHOLE_PROMPTS))
    assert whole.gap_s.max() == pytest.approx(0.6)
    assert chunked.gap_s.max() == pytest.approx(0.2)
    assert whole.ttft_s[1] < chunked.ttft_s[1]


def test_who_finds_no_place_waits_for_the_first_to_end(slow):
    """One place: the second is read when the first has its two tokens, after 0.11 + 0.1 s."""
    run = serve_requests(replace(slow, batch=1), [0.0, 0.0], [10, 10], [2, 1])
    assert run.ttft_s == pytest.approx([0.11, 0.32])


def test_who_finds_no_memory_waits_as_well(slow):
    """12 tokens each, and memory for 20."""
    run = serve_requests(replace(slow, kv_tokens=20.0), [0.0, 0.0], [10, 10], [2, 2])
    assert run.ttft_s == pytest.approx([0.11, 0.32])


def test_the_impatient_leave_and_the_impossible_is_refused(slow):
    """The first holds the only place for about a second; the third asks for more than there is."""
    run = serve_requests(replace(slow, batch=1), [0.0, 0.0, 0.0], [10, 10, 20_000], [10, 1, 1], patience_s=0.5)
    assert np.isnan(run.ttft_s).tolist() == [False, True, True]
    assert run.unserved == 2


def test_gaps_count_once_for_every_token_that_came_after_them(slow):
    """Three gaps of 0.1 s for one token each, and one of 0.2 s: the median is short and the last per cent is not."""
    run = serve_requests(slow, [0.0, 0.25], [100, 100], [5, 1])
    assert run.gap_quantile_s([0.5, 0.99]) == pytest.approx([0.1, 0.2])


def test_every_token_is_made_once(chatting, mix):
    """Whatever the load: tokens after the first are the gaps'."""
    random = np.random.default_rng(1)
    arrivals = np.cumsum(random.exponential(0.3, mix.prompt_tokens.size))
    outputs = np.rint(mix.output_tokens)
    run = serve_requests(chatting, arrivals, mix.prompt_tokens, outputs)
    assert run.gap_tokens.sum() == (outputs - 1).sum()
    assert run.read_s == pytest.approx(mix.prompt_tokens.sum() * chatting.prefill_s_per_token)


def test_wrong_requests_are_named_together(slow):
    with pytest.raises(InvalidInput) as refused:
        serve_requests(slow, [1.0, 0.0], [5, 0], [1])
    assert [fault.where for fault in refused.value.faults] == ["arrival_s", "prompt_tokens", "output_tokens"]
