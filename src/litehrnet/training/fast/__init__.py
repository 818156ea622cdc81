"""Training steps on a CPU by kernels in C++ (csrc/training), with PyTorch's functions and gradients around them."""
