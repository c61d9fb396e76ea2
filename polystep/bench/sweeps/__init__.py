"""Many runs: what they are, where they stand, and the launchers that compute them."""
