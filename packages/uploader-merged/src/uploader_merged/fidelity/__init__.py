"""How far a quantised model is from base and adapter: what is counted, and how it is kept.

``fidelity.json`` has one form, whoever measured, so that cards and pages show all in one table.
"""
