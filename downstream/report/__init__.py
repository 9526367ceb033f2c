"""The report of a run: one HTML file that holds everything, opens from disk and asks nothing of any network.

``page`` puts it together, ``sections`` has one file for each part of the page, ``evidence`` is what they are written
from. ``comparison`` lays several runs side by side.
"""
