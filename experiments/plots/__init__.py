"""Pictures of a run: the front as PNG and as an interactive page, the policy over time, the live status line."""
