"""The tagger that we ship: evidence of every kind, weighed by one ranker for all tags."""
