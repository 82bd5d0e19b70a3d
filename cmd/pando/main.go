// Command pando runs a PKI-as-a-Service for IoT, and talks to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/pando-pki/pando/internal/cli"
)

func main() {
	// The first signal asks for an orderly end; a second one ends at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
