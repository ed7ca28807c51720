"""DICOM files as arrays: what may be opened, the frames, and how they are stacked."""
