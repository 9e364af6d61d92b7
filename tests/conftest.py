"""Every call in the tests is checked against its shape annotations."""

from jaxtyping import install_import_hook

install_import_hook("brenier", "beartype.beartype")
