"""The figures of the report, a module each with a function ``draw(study, folder)`` that gives the figures written."""
