"""Patch attention, one operator in several forms that compute the same.

``dense`` is the papers' own formulation; ``chunked`` does it in blocks of rows and is the truth for
tests; ``native`` is the C++ kernel and ``triton_form`` the one for GPUs; ``fastest`` chooses among
them and is what attention blocks call; ``local`` looks at windows only.
"""
