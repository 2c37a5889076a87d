"""Release of the package: archives, bill of materials, licences, audits, smoke tests, figures."""
