"""Learning rates: by part of the network, found by themselves, over a phase's steps."""
