"""Adapters to other frameworks, one file a framework."""
