"""What the start of a replica consists of, measured on a running cluster."""
