"""The networks of the paper: for each a torch module, which is the reference, and its layered description."""
