"""Patch attention, one operator in several forms that compute the same.

``dense`` is the papers' own formulation and the truth for tests; ``chunked`` does it in blocks of
``rows``; ``native`` is the C++ kernel for the CPU. ``patch_attention`` chooses among them and is
what attention blocks call, those that compare pixels too. ``local`` looks at windows only;
``one_query`` is what a single query looks at, ``contract`` what all share, ``operator_costs`` what
they take.
"""
