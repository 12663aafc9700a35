"""How fast an engine iterates: the few numbers of a configuration from which latency under load follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.configuration import Profile

__all__ = ["WHOLE_PROMPTS", "Pace", "chunk_within"]

FloatArray = NDArray[np.float64]

WHOLE_PROMPTS = 1_000_000
"""As a chunk: every prompt is read in one go, and goes before decoding."""


@dataclass(frozen=True, slots=True)
class Pace:
    """One replica's engine with continuous batching: an iteration reads prompt tokens and decodes one token a sequence.

    Its time is ``step + step_per_kv_token · tokens in memory + prefill · prompt tokens`` (Splitwise on DGX A100 and
    H100: nearly linear in each; docs/instances.md has how far off).

    Attributes
    ----------
    step_s
        An iteration with nothing to do: weights are read, kernels launched, GPUs talk.
    step_s_per_kv_token
        What each token of keys and values of the decoding sequences adds.
    prefill_s_per_token
        What each prompt token adds.
    batch, kv_tokens
        Most sequences at once, and most tokens of theirs in memory.
    chunk_tokens
        Most prompt tokens in an iteration.
    """

    step_s: float
    step_s_per_kv_token: float
    prefill_s_per_token: float
    batch: int
    kv_tokens: float
    chunk_tokens: int

    @classmethod
    def of(cls, profile: Profile) -> Pace:
        """Pace of one replica of a profiled configuration."""
        return cls(
            profile.tbt_s,
            profile.step_s_per_kv_token,
            1.0 / profile.prefill_tokens_per_s,
            profile.configuration.batch,
            profile.kv_tokens,
            profile.chunk_tokens,
        )

    def iteration_s(self, prompt_tokens: ArrayLike, kv_tokens: ArrayLike) -> FloatArray:
        """Time of an iteration that reads so many prompt tokens beside sequences of so many tokens in all."""
        kept = self.step_s_per_kv_token * np.asarray(kv_tokens, dtype=np.float64)
        return np.asarray(self.step_s + kept + self.prefill_s_per_token * np.asarray(prompt_tokens, dtype=np.float64))

    def unloaded_ttft_s(self, prompt_tokens: ArrayLike) -> FloatArray:
        """Time to first token on an idle engine: an iteration for each chunk of the prompt."""
        prompt = np.asarray(prompt_tokens, dtype=np.float64)
        return np.asarray(np.ceil(prompt / self.chunk_tokens) * self.step_s + prompt * self.prefill_s_per_token)


def chunk_within(tbt_s: float, step_s: float, prefill_s_per_token: float) -> int:
    """Prompt tokens that an iteration may read beside a step within a promised time between tokens.

    The largest multiple of 64 from 128 to 8,192, as Sarathi-Serve sets its token budget (Agrawal et al., OSDI 2024); a
    twentieth of the promise is kept for sequences that are longer than the mean.
    """
    most = max(0.95 * tbt_s - step_s, 0.0) / prefill_s_per_token
    return int(np.clip(most // 64 * 64, 128, 8192))
