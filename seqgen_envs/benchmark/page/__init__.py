"""Results as a page to open: one HTML file that needs nothing else, Markdown and CSV."""
