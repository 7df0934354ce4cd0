"""The fidelity gate: a release that lost too much is not published."""
