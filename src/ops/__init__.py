"""Pure functions on tensors, each with its source and a parity test.

Patch attention has five homes: ``patch_attention`` is the plain form, dense or in blocks, and the
truth for tests; ``native_patch_attention`` the C++ kernel; ``fast_patch_attention`` chooses between
them and is what attention blocks call; ``local_patch_attention`` looks at windows only;
``reference_patch_attention`` is the papers' own formulation, for comparison in benchmarks.
"""
