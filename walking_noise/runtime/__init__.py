"""Execution of runs: train() and train_each(), planner, executor, retry by bisection, and worker processes."""
