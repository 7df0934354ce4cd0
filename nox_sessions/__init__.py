"""What sessions of nox install, and the sessions that CI does not run, by what they are for.

``noxfile.py`` imports every module here: that is how a session becomes known to nox.
"""
