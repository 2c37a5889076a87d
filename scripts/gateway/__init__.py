"""Ask a running gateway about many picture files, and show the pictures in HTML."""
