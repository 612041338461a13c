"""Encoders and heads: the networks that BYOL trains."""
