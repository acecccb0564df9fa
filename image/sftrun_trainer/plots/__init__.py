"""One page that shows how a run has learnt: losses, learning rate, restarts; for screen and print."""
