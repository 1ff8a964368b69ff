"""motags: rich tags for film catalogues, learned from the films that experts have tagged."""
