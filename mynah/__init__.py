"""Mynah: a person's own text and chat logs in, a talking language model out, on their own machine."""

__version__ = "0.1.0"
