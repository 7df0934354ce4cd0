"""Many releases in one go: ``uploader batch``.

``runs_file`` and ``folder`` say which releases are wanted, ``outlook`` plans all of them and
refuses what cannot go together, ``drive`` runs them, a few side by side, and ``summary`` says how
they ended. Each is a run like any other. They share digests of the same files
(``shared_digests``), and workers that begin with everything imported (``forked_workers``).
"""
