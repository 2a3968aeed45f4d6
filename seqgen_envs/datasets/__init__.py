"""Where training corpora come from, cleaned and tokenised."""
