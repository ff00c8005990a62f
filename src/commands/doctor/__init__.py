"""Checks of machines, network and disks before a training starts on them."""
