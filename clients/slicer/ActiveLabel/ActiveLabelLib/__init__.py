"""What the module `ActiveLabel` of 3D Slicer is made of.

`scene.py` needs Slicer's libraries, the files `panel/panel*.py` need Qt; all other files need Python 3.9 alone.
"""
