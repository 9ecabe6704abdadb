"""Work on Slipway itself: its linters, its fuzzer, its demo."""
