"""Figures of the report. Each module has a function ``draw(study, folder)`` that writes figures and returns them."""
