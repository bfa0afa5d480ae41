"""The systems that the work is compared with, one short file each."""
