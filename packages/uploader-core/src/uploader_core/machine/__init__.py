"""The machine that a run happens on: memory, disks, GPUs, and what systems do differently.

What decides something takes the facts as arguments, so that the rules of one system can be tested
on another. Nothing heavy is imported; a library is asked only when it is installed.
"""
