"""Download of raw data: the catalogue of files, a download that resumes, and safe unpacking."""
