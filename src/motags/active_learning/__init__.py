"""What experts should look at next, and why the tagger says what it says."""
