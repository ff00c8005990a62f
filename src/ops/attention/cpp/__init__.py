"""C++ kernels that are compiled at first use, with PyTorch as the fallback."""
