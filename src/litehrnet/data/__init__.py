"""Records of persons from annotation files."""
