"""DICOM files: series, frames, segmentations."""
