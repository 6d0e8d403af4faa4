"""Scenario tests: files, runs and reports."""
