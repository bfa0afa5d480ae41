"""How a facial prior is learned from faces alone."""
