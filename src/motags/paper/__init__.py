"""The paper's method, box by box of its Figure 1."""
