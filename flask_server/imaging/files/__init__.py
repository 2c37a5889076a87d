"""Structure of image files: read cheaply, before any decoder sees a byte."""
