"""Networks of convolutions and pooling before linear layers: a row is one output channel, and moves one map."""
