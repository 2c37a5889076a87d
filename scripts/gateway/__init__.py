"""Ask a running gateway about many image files, and show the images in HTML."""
