"""Compute with a checkpoint in transformers, with the weights of one block in memory at a time.

A block is a layer of the decoder. All texts wait before a block until its weights are there, pass
through it one after the other, and wait before the next: its weights are read once. Calibration
and measuring are built on it.

Modules: ``empty_model`` builds the model without weights and finds its blocks, ``filling`` puts
weights of the checkpoint where transformers has them, ``in_step`` lets texts wait for each other,
``matrices`` tells which matrix of the checkpoint a product is with, ``windows`` cuts texts, and
``logits`` puts it together.
"""
