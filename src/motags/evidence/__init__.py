"""What speaks for a tag: one module a kind of evidence, its training apart from its inference."""
