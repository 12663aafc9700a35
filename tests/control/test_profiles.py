"""What instances may run."""

import pytest

from tapas_opt.errors import InvalidInput

A100 = "dgx-a100"


def test_an_endpoint_prefers_what_was_profiled(profiles, chat):
    """Or says which name is wrong."""
    assert profiles.of_endpoint(chat, A100).configuration.name == chat.configuration
    with pytest.raises(InvalidInput, match="no profile on dgx-h100"):
        profiles.of_endpoint(chat, "dgx-h100")
