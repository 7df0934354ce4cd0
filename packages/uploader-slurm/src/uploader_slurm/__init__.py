"""Steps of a run as jobs of a Slurm cluster."""
