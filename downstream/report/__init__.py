"""The report of a run: one self-contained HTML file that opens from disk without network access.

``page`` writes the file. ``sections`` has one file for each part of the page, and ``evidence``
gathers their content. ``comparison`` writes one page about several runs.
"""
