"""A simulated subscription company whose true churn and margin are known, to try the service on and to test it."""
