"""Curves through accuracies: of one repetition, of the means, with one fall or two."""
