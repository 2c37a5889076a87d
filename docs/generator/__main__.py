"""Write the generated parts of the reference pages: ``python -m docs.generator``."""

from docs.generator.pages import write

write()
