"""Evaluation of runs on the validation set: the evaluator, and the activations that runs share."""
