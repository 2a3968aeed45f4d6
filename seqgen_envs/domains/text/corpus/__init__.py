"""Where texts to learn from come from, and how they become sequences."""
