"""What a user runs: the command line, its files, comparisons, proposals, benchmarks (DESIGN sections 6 and 7)."""
