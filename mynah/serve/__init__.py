"""Runs and bases as a service: OpenAI's interface over HTTP, safe to have open on a machine."""
