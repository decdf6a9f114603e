"""US and UK spelling of English text, by a table of our own."""
