"""How an LLM engine serves requests: its pace, what load does to latency, and every request one by one."""
