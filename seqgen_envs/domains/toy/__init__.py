"""A domain small enough to enumerate."""
