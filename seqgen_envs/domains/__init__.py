"""The domains: each a folder with the same file names, and one registration."""
