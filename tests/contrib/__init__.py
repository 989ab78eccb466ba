"""Tests of what connects Runfold to other libraries."""
