"""Servers that tests run for real, on loopback."""
