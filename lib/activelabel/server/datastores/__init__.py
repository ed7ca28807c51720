"""The host's datastores: a folder of files, and a PACS."""
