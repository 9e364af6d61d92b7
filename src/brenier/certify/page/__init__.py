"""The page of a certificate: one HTML file that needs nothing else."""

from brenier.certify.page._page import certificate_page

__all__ = ["certificate_page"]
