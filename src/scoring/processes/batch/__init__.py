"""Scores files of any size: cut into parts, by several processes, each part whole or not at all."""
