"""A film, the files that catalogues come in, and the text of it that is read."""
