"""Evaluation of networks and of the runs that made them; for the entry scripts alone."""
