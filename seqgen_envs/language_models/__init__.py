"""Causal language models in the form of Hugging Face's transformers, as priors (extra ``hf``)."""
