"""Tables of profiles: our own format, and public measurements turned into it."""
