"""The page where experts accept and reject tags: `motags review`."""
