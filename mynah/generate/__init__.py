"""Tokens out of a trained model: cache, sampling, engine, chat."""
