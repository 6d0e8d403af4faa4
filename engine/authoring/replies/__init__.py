"""Texts that are understood as wanted."""
