package main

import (
	"context"
	"errors"
)

// benchMain is `make bench`.
func benchMain(ctx context.Context, bin string, args []string) error {
	return errors.New("bench: not built yet")
}
