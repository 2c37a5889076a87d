"""The manuals, and the program that makes their generated parts."""
