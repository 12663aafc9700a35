"""The nouns: sites, workloads, configurations, failures, history and results. Frozen, validated once."""
