"""Evaluators of networks that send every sample along one of several routes."""
