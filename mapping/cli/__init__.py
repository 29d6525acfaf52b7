"""The command line: the program ``systolic``, and the mapper's verbs.

:mod:`mapping.cli.main` finds verbs by entry point, so that packages above the mapper add theirs
without being imported here; they share how a network is named (:mod:`mapping.cli.subject`), how
failures are reported (:mod:`mapping.cli.failure`) and what tables look like
(:mod:`mapping.cli.display`).
"""
