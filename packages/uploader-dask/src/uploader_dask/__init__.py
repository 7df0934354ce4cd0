"""Steps of a run as tasks of a Dask cluster."""
