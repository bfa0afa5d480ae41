"""How any network is trained: loop, losses, EMA, checkpoints, run folders."""
