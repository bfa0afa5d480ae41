"""What a network is: space, genotype, operations, trellis, network, size."""
