"""Fitted parameters of measured populations, with their provenance; made by `python -m followers.embed`."""
