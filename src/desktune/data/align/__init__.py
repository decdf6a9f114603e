"""Two documents that say the same in two languages → pairs of sentences."""
