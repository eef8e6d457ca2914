package bpf

// Compiler and stripper are pinned, and no header outside this folder is
// included, so that the same source gives the same object on every machine.
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -type family -type action -type reason -type note -type client_kind dhcp dhcp.bpf.c -- -mcpu=v3 -nostdinc -Wall -Wextra -Werror -Wno-sign-compare -Wno-unused-parameter
