"""Codes that fit what the model computes on real text, found layer by layer.

Modules: ``text`` chooses the text, ``inputs`` collects what the matrices of a layer are multiplied
with, ``gptq`` rounds a matrix, ``calibrate`` goes through the model and keeps the codes.
"""
