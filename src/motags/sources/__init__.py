"""Where films come from: the open services, and how what they say becomes one catalogue."""
