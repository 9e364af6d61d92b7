"""The page of a certificate, one HTML file that needs nothing else; and its one figure alone."""

from brenier.certify.page._interval import plot_certificate
from brenier.certify.page._page import certificate_page, certificate_summary

__all__ = ["certificate_page", "certificate_summary", "plot_certificate"]
