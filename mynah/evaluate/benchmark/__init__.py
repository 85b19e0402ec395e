"""Benchmarks: files of questions, read, asked and scored."""
