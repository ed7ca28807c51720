"""What DICOM files are made into and out of: series as volumes, SEG and RTSTRUCT as labels."""
