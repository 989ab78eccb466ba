"""The flows of ``runfold demo``: what an application of yours looks like, small.

Each file is one flow, written against the public API alone. ``tour`` names them in the order
in which they are shown, with an input for each and how it should end.
"""
