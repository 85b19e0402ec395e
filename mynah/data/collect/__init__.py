"""Collect records from sources: files alone and together, web sites, databases; in one process or many."""
