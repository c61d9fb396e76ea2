"""Reinforcement learning as black-box search: policies, environments, and the return of a policy in them."""
