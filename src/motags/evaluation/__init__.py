"""Every row of every table, the baselines among them, and the metrics that they are measured by."""
