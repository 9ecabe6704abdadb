"""Pods, and what their states mean: waited for, followed, tried, explained."""
