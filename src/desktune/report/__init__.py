"""Result dataclasses → pages that a browser opens from disk: no script, nothing fetched, readable on a phone."""
