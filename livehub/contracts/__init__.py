"""The wire contracts: each namespace is a vocabulary over the same features, behind the same entrance."""
