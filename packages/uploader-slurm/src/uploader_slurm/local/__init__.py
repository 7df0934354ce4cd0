"""submitit's local executor: a process that starts the command, and outlives the run."""
