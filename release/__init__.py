"""Release of the package: archives, software bill of materials, licences, audits, smoke tests."""
