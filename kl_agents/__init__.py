"""KL-control agents in Stable-Baselines3's manner."""
