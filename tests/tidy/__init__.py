"""A reader of the source that keeps the rules of the house: each check yields findings.

The tables in ``tables.py`` say what is allowed and why; the checks hold no names of their own.
"""
