"""Measures of agents on the environments, whoever wrote the agents."""
