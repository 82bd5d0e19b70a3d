package cli

import (
	"context"

	"github.com/pando-pki/pando/internal/server"
)

// serveCommand is "pando serve".
type serveCommand struct {
	dataFlags
	serveFlags
}

func (serveCommand) Help() string {
	return `Serves until it is interrupted; then it takes no new requests, finishes what is in flight and ends. A second interrupt ends it at once.

Before its first authority exists the listeners have a self-signed certificate, which is written to bootstrap.pem in the data directory: name it with --tls-ca. Set tls.endpoint in the configuration to have certificates from your own PKI.

Examples:

    pando serve --data /var/lib/pando
    pando serve --config /etc/pando.yaml --https 0.0.0.0:8443`
}

// Run serves.
func (s *serveCommand) Run(ctx context.Context) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	s.apply(&cfg)
	log, err := server.NewLogger(cfg.Log)
	if err != nil {
		return err
	}
	version, err := readVersion()
	if err != nil {
		return err
	}
	server.TuneMemory()
	srv, err := server.New(ctx, cfg, version.Version, log)
	if err != nil {
		return err
	}
	return srv.Run(ctx)
}
