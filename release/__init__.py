"""Release of the package: archives, software bill of materials, licences, audits, smoke tests.

And the figures of the code that is released.
"""
