"""How an architecture is found: logits, relaxations, derivation, loop."""
