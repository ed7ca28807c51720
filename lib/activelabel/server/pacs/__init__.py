"""A PACS over DICOMweb."""
