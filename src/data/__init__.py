"""Clean images, from file to batch: ``image_io`` → ``cache`` → ``images`` → ``patches`` → batches.

Sets of images are in ``datasets`` and ``prepared``, their order in ``samplers``; ``datamodule``
joins all. What makes a clean patch a degraded one follows in ``src.degradations``.
"""
