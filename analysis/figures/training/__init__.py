"""Figures of training: levels, epochs, teachers."""
